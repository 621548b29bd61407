"""Small real models: the true transformers classes with random weights, saved as checkpoints are. No mocks."""

import json
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
    """Whole words."""
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
    """A whole Whisper with its 30 s of positions, decoder and all, as the hub has it."""
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
    """A whole CLAP, text half and all, as the hub has it."""
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
