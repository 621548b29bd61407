"""Small real models: the true transformers classes with random weights, saved as checkpoints are. No mocks."""

import json
import warnings
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    ClapAudioConfig,
    ClapConfig,
    ClapFeatureExtractor,
    ClapModel,
    ClapTextConfig,
    CLIPImageProcessor,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaNextConfig,
    LlavaNextForConditionalGeneration,
    LlavaNextImageProcessor,
    LlavaNextProcessor,
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    LlavaOnevisionImageProcessor,
    LlavaProcessor,
    PreTrainedTokenizerFast,
    Qwen2Config,
    SiglipVisionConfig,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperModel,
)

SIZE, PATCH, WIDTH, TEXT = 56, 14, 32, 48
PATCHES = (SIZE // PATCH) ** 2
WORDS = "<pad> <s> </s> <unk> <image> USER ASSISTANT : . a dog bell rain is ringing barking what Heard say".split()
# as llava-1.5 has it: pictures first, then the text
IMAGES_FIRST = (
    "{% for m in messages %}USER: {% for c in m['content'] if c['type'] == 'image' %}<image>\n{% endfor %}"
    "{% for c in m['content'] if c['type'] == 'text' %}{{ c['text'] }}{% endfor %}{% endfor %} ASSISTANT:"
)


def tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer of one token a word."""
    words = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit()])
    return PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>",
        additional_special_tokens=["<image>"], extra_special_tokens={"image_token": "<image>"},
    )  # fmt: skip


def clip_config() -> CLIPVisionConfig:
    return CLIPVisionConfig(
        hidden_size=WIDTH, intermediate_size=64, num_hidden_layers=3, num_attention_heads=2,
        image_size=SIZE, patch_size=PATCH, projection_dim=16,
    )  # fmt: skip


def llama_config() -> LlamaConfig:
    return LlamaConfig(
        vocab_size=len(WORDS), hidden_size=TEXT, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, pad_token_id=0, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip


def scaled(model: torch.nn.Module) -> torch.nn.Module:
    """Random weights large enough that the answer depends on the picture."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim > 1:
                weight.mul_(4 if "vision_tower" not in name else 2)
    return model


def llava(folder: Path, template: str | None = IMAGES_FIRST) -> Path:
    """CLIP + Llama, layer -2, as llava-1.5."""
    torch.manual_seed(0)
    config = LlavaConfig(
        vision_config=clip_config(), text_config=llama_config(), image_token_index=4,
        vision_feature_layer=-2, vision_feature_select_strategy="default",
    )  # fmt: skip
    scaled(LlavaForConditionalGeneration(config)).save_pretrained(folder)
    pictures = CLIPImageProcessor(size={"shortest_edge": SIZE}, crop_size={"height": SIZE, "width": SIZE}, resample=3)
    processor = LlavaProcessor(
        pictures, tokenizer(), patch_size=PATCH, vision_feature_select_strategy="full",
        num_additional_image_tokens=1, chat_template=template,
    )  # fmt: skip
    processor.save_pretrained(folder)
    return folder


def llava_next(folder: Path) -> Path:
    """CLIP + Llama with anyres tiles, as llava-1.6."""
    torch.manual_seed(0)
    grid = [[SIZE, 2 * SIZE], [2 * SIZE, SIZE], [2 * SIZE, 2 * SIZE]]
    config = LlavaNextConfig(
        vision_config=clip_config(), text_config=llama_config(), image_token_index=4, image_grid_pinpoints=grid,
        vision_feature_layer=-2, vision_feature_select_strategy="default",
    )  # fmt: skip
    scaled(LlavaNextForConditionalGeneration(config)).save_pretrained(folder)
    pictures = LlavaNextImageProcessor(
        size={"shortest_edge": SIZE}, crop_size={"height": SIZE, "width": SIZE}, image_grid_pinpoints=grid
    )
    LlavaNextProcessor(
        pictures, tokenizer(), patch_size=PATCH, vision_feature_select_strategy="default",
        num_additional_image_tokens=1, chat_template=IMAGES_FIRST,
    ).save_pretrained(folder)  # fmt: skip
    return folder


def onevision(folder: Path) -> Path:
    """SigLIP, which has no CLS token, + Qwen2."""
    torch.manual_seed(0)
    vision = SiglipVisionConfig(
        hidden_size=WIDTH, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        image_size=SIZE, patch_size=PATCH, vision_use_head=False,
    )  # fmt: skip
    text = Qwen2Config(
        vocab_size=len(WORDS), hidden_size=TEXT, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, pad_token_id=0, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    grid = [[SIZE, 2 * SIZE], [2 * SIZE, SIZE]]
    config = LlavaOnevisionConfig(
        vision_config=vision, text_config=text, image_token_index=4, video_token_index=3, image_grid_pinpoints=grid,
        vision_feature_layer=-1, vision_feature_select_strategy="full",
    )  # fmt: skip
    scaled(LlavaOnevisionForConditionalGeneration(config)).save_pretrained(folder)
    pictures = LlavaOnevisionImageProcessor(size={"height": SIZE, "width": SIZE}, image_grid_pinpoints=grid)
    pictures.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": IMAGES_FIRST}))
    return folder


def whisper(folder: Path) -> Path:
    """A complete Whisper with its 30 s of positions, decoder and all, as the hub has it."""
    torch.manual_seed(1)
    config = WhisperConfig(
        d_model=24, encoder_layers=3, encoder_attention_heads=2, encoder_ffn_dim=48, decoder_layers=1,
        decoder_attention_heads=2, decoder_ffn_dim=48, vocab_size=60, pad_token_id=0, bos_token_id=1,
        eos_token_id=2, decoder_start_token_id=1,
    )  # fmt: skip
    WhisperModel(config).save_pretrained(folder)
    WhisperFeatureExtractor().save_pretrained(folder)
    return folder


def clap(folder: Path) -> Path:
    """A complete CLAP, text half and all, as the hub has it."""
    torch.manual_seed(2)
    audio = ClapAudioConfig(
        hidden_size=64, patch_embeds_hidden_size=8, depths=[1, 1, 1, 1], num_attention_heads=[1, 1, 2, 2],
        projection_dim=20, enable_fusion=False,
    )  # fmt: skip
    text = ClapTextConfig(
        vocab_size=60, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        projection_dim=20,
    )  # fmt: skip
    ClapModel(ClapConfig(audio_config=audio, text_config=text, projection_dim=20)).save_pretrained(folder)
    ClapFeatureExtractor(truncation="rand_trunc").save_pretrained(folder)
    return folder


def listener(folder: Path, labels: tuple[str, ...] = ("low", "high", "other"), parents: dict | None = None) -> Path:
    """A listener of nano's format whose truth is known: `low` and `high` (below and above about 1 kHz) of each 0.1 s.

    A frame's chance rises with the loudness of its half of the spectrum; `other` is the chance of neither.
    """
    import numpy as np
    from onnx import TensorProto, checker, helper, numpy_helper, save

    parents = parents or {}
    count, hop, frames = len(labels), 1600, 30
    at = np.arange(hop)
    bands = [range(2, 100, 4), range(104, 700, 6)]  # in periods a hop: 20 Hz to 1 kHz, 1 to 7 kHz
    waves = [[np.cos(2 * np.pi * at * k / hop), np.sin(2 * np.pi * at * k / hop)] for band in bands for k in band]
    basis = np.array(waves, np.float32).reshape(-1, hop).T / hop
    low = 2 * len(bands[0])
    add = np.zeros((basis.shape[1], count), np.float32)
    add[:low, 0], add[low:, 1] = 4e5, 4e5
    wider = np.zeros((count, max(1, len(parents))), np.float32)
    for place, kinds in enumerate(parents.values()):
        wider[[labels.index(kind) for kind in kinds], place] = 1
    constants = {
        "split": np.array([0, frames, hop], np.int64), "basis": basis, "add": add, "bias": np.float32(-4),
        "wider": wider[:, : len(parents)], "axis": np.array([1], np.int64),
    }  # fmt: skip
    steps = [
        ("Reshape", ["samples", "split"], "cut"), ("MatMul", ["cut", "basis"], "waves"),
        ("Mul", ["waves", "waves"], "power"), ("MatMul", ["power", "add"], "level"),
        ("Add", ["level", "bias"], "logit"), ("Sigmoid", ["logit"], "frames"),
        ("ReduceMax", ["frames", "axis"], "clip"), ("MatMul", ["frames", "wider"], "parent_frames"),
        ("ReduceMax", ["parent_frames", "axis"], "parent_clip"), ("ReduceMean", ["power", "axis"], "embedding"),
    ]  # fmt: skip
    nodes = [
        helper.make_node(kind, given, [name], **({"keepdims": 0} if kind.startswith("Reduce") else {}))
        for kind, given, name in steps
    ]
    shapes = {
        "frames": ["batch", frames, count], "clip": ["batch", count], "parent_frames": ["batch", frames, len(parents)],
        "parent_clip": ["batch", len(parents)], "embedding": ["batch", basis.shape[1]],
    }  # fmt: skip
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "listener", [value("samples", TensorProto.FLOAT, ["batch", frames * hop])],
        [value(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    checker.check_model(model)
    folder.mkdir(parents=True, exist_ok=True)
    save(model, str(folder / "listener.onnx"))
    about = {
        "labels": labels, "parents": parents, "thresholds": dict.fromkeys(labels, 0.5), "hop_s": 0.1, "rate_hz": 16_000,
        "window_s": 3.0, "version": 1,
    }  # fmt: skip
    (folder / "listener.json").write_text(json.dumps(about))
    return folder


def tagger(path: Path, given: str, classes: int = 527) -> Path:
    """An AudioSet tagger as ONNX: `given` is `mels` (1, T, 64) as CED's or `samples` (1, n) as mn10's.

    What is louder than about -30 dBFS is class 137, music.
    """
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper, save

    weights = np.zeros((1, classes), np.float32)
    weights[0, min(137, classes - 1)] = 0.5 if given == "mels" else 2e3
    bias = np.full(classes, -6, np.float32)
    axes = np.array([1, 2] if given == "mels" else [1], np.int64)
    power = (
        [helper.make_node("Mul", ["x", "x"], ["p"])]
        if given == "samples"
        else [helper.make_node("Identity", ["x"], ["p"])]
    )
    nodes = [
        *power,
        helper.make_node("ReduceMean", ["p", "axes"], ["mean"], keepdims=0),
        helper.make_node("Reshape", ["mean", "column"], ["level"]),
        helper.make_node("MatMul", ["level", "weights"], ["logit"]),
        helper.make_node("Add", ["logit", "bias"], ["biased"]),
        helper.make_node("Sigmoid", ["biased"], ["probabilities"]),
    ]
    constants = {"weights": weights, "bias": bias, "axes": axes, "column": np.array([-1, 1], np.int64)}
    shape = [1, "T", 64] if given == "mels" else ["W", "n"]
    graph = helper.make_graph(
        nodes, "tagger", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, classes])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )  # fmt: skip
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), str(path))
    return path


def ast(folder: Path, titles: list[str]) -> Path:
    """A small AST with these classes, as the hub has it."""
    from transformers import ASTConfig, ASTFeatureExtractor, ASTForAudioClassification

    torch.manual_seed(3)
    config = ASTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, max_length=320,
        id2label=dict(enumerate(titles)), label2id={title: place for place, title in enumerate(titles)},
    )  # fmt: skip
    ASTForAudioClassification(config).save_pretrained(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of an empty mel filter, which the real one has, too
        ASTFeatureExtractor(max_length=320).save_pretrained(folder)
    return folder
