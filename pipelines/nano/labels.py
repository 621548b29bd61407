"""The labels that the Whisper-shaped encoder was trained on, and that `pipelines.scenes` can draw."""

from avstream.vocabulary import HOME

LABELS: tuple[str, ...] = HOME[:21]
