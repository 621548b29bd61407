"""A miniature of the study's corpus with its vectors, for the tests of training and evaluation: made once a run."""

from pathlib import Path

from pipelines import make_embeddings, make_manifest
from pipelines.study.corpus import make_corpus

CLIPS = {"train": 12, "valid": 4, "test": 8}


def prepared(folder: Path) -> list[str]:
    """Corpus, manifest and vectors in `folder`; gives the options that name them."""
    make_corpus(folder, seed=1, clips=CLIPS)
    manifest, cache = folder / "m.jsonl", folder / "cache"
    release = ["ave2", str(folder / "data"), "--media", str(folder / "clips")]
    assert make_manifest.main([*release, "--out", str(manifest)]) == 0
    assert make_embeddings.main(["--manifest", str(manifest), "--cache", str(cache), "--above", "-1"]) == 0
    return ["--manifest", str(manifest), "--above", "-1", "--cache", str(cache)]
