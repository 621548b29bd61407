"""Steps that a GPU replays: the same sentences as without, whatever their length, from any thread. It takes a GPU."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from avstream.decoding import ROOM, Replay
from avstream.language import Llava
from tests import fakes

GPU = torch.device("cuda")
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU here")


@needs_gpu
@pytest.mark.parametrize("family", ["llava", "llava_next", "onevision"])
def test_replayed_steps_say_the_same(family, tmp_path):
    llava = Llava(getattr(fakes, family)(tmp_path), device=GPU, dtype=torch.float32)
    replay, rng = llava._replay, np.random.default_rng(0)
    assert isinstance(replay, Replay)
    asked = [(rng.normal(size=(k, fakes.WIDTH)).astype(np.float32), "a dog is barking"[: 3 * k]) for k in (3, 16, 5, 1)]
    asked += [(asked[0][0], "a dog is barking " * 80), asked[0]]  # longer than the first cache, and short again
    llava._replay = None
    plain = [llava.describe(tokens, "what is", heard) for tokens, heard in asked]
    llava._replay = replay
    assert [llava.describe(tokens, "what is", heard) for tokens, heard in asked] == plain
    assert len(set(plain)) > 3 and replay._cache is not None and replay._cache.get_max_length() > ROOM
    with ThreadPoolExecutor(1) as pool:
        assert [pool.submit(llava.describe, tokens, "what is", heard).result() for tokens, heard in asked] == plain


def test_a_cpu_runs_each_step(tmp_path):
    assert Llava(fakes.llava(tmp_path), device=torch.device("cpu"), dtype=torch.float32)._replay is None
