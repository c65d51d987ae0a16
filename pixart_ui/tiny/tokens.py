"""The tokenizer: a real sentencepiece model trained on the world's captions and on the letters of any text."""

from __future__ import annotations

import io
import random
import string
from pathlib import Path

import sentencepiece

from pixart_ui.tiny.captions import describe
from pixart_ui.tiny.world import sample_scene

VOCABULARY = 512
MAX_TOKENS = 48
PAD, EOS, UNKNOWN = 0, 1, 2


def train_tokenizer(path: Path, num_captions: int = 60_000, seed: int = 5) -> None:
    """Write `spiece.model`; every printable ASCII character has a piece, so that any English text becomes tokens."""
    rng = random.Random(seed)
    captions = [describe(sample_scene(rng), rng).text for _ in range(num_captions)]
    letters = [" ".join(string.ascii_lowercase), *string.ascii_lowercase, " ".join(string.digits + string.punctuation)]
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(captions + letters * 40),
        model_writer=model,
        vocab_size=VOCABULARY,
        hard_vocab_limit=False,
        model_type="unigram",
        character_coverage=1.0,
        pad_id=PAD,
        eos_id=EOS,
        unk_id=UNKNOWN,
        bos_id=-1,
        minloglevel=2,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.getvalue())


class Tokens:
    """Captions to fixed rows of ids, ended by EOS and padded with 0."""

    def __init__(self, path: Path) -> None:
        self._pieces = sentencepiece.SentencePieceProcessor(model_file=str(path))

    def row(self, text: str) -> list[int]:
        ids = [*self._pieces.encode(text)[: MAX_TOKENS - 1], EOS]
        return ids + [PAD] * (MAX_TOKENS - len(ids))

    def tagged_row(self, words: tuple[str, ...], tags: tuple[int, ...]) -> tuple[list[int], list[int]]:
        """Ids and, for each, the object that its word belongs to (-1: none)."""
        ids: list[int] = []
        owners: list[int] = []
        for word, tag in zip(words, tags, strict=True):
            pieces = self._pieces.encode(word)
            ids += pieces
            owners += [tag] * len(pieces)
        ids, owners = [*ids[: MAX_TOKENS - 1], EOS], [*owners[: MAX_TOKENS - 1], -1]
        missing = MAX_TOKENS - len(ids)
        return ids + [PAD] * missing, owners + [-1] * missing
