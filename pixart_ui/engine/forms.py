"""In which form each component's weights are wanted, and whether a checkpoint's own files have it: no torch.

Checkpoints of the Hub are fp32, some of them pickled. The forms follow what the libraries make of them at load.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pixart_ui.catalog import Component
from pixart_ui.engine.tensorfile import TensorEntry, read_entries
from pixart_ui.engine.units import Place, unit_of
from pixart_ui.errors import CheckpointError
from pixart_ui.hub.layout import Needed, needed
from pixart_ui.request import Precision, ResolvedRequest, TransformerPrecision, usual_transformer_precision

QUANTIZED = frozenset({Precision.INT8, Precision.NF4, Precision.FP4})

_OLD_ATTENTION = re.compile(r"(.*\.attentions\.\d+)\.(query|key|value|proj_attn)\.(weight|bias)")
_NEW_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}


@dataclass(frozen=True)
class WeightKey:
    """What tells the files of the store apart: a component, the content it was made from, its form (see `form_of`)."""

    component: Component
    source_hash: str
    form: str


@dataclass(frozen=True)
class WeightSource:
    """The files of one component as the checkpoint has them, and the precision they are wanted in.

    `source_hash` names their content, as `Hub.hashes` gives it. `whole` is the transformer's precision where it is
    below 16 bits: the libraries then make it of the checkpoint's own files, and `precision` says what computes.
    """

    component: Component
    folder: Path
    precision: Precision
    source_hash: str
    whole: TransformerPrecision | None = None

    @classmethod
    def of(cls, component: Component, folder: Path, request: ResolvedRequest, source_hash: str) -> WeightSource:
        """As the request wants it. The transformer has a precision of its own, whatever the text encoder's is."""
        wanted = request.transformer_precision
        if component != "transformer":
            return cls(component, folder, request.precision, source_hash)
        if wanted.is_16_bit:
            return cls(component, folder, Precision(wanted.value), source_hash)
        computing = Precision(usual_transformer_precision(request.precision).value)
        return cls(component, folder, computing, source_hash, wanted)

    def key(self, device_type: str) -> WeightKey:
        return WeightKey(self.component, self.source_hash, form_of(self.component, self.precision, device_type))

    def files(self) -> list[Path]:
        """The weights that loading takes, safetensors or pickled. Raises CheckpointError where they are not whole."""
        return [self.folder / name for name in self._needed().defining]

    def variant(self) -> str | None:
        """The word that the libraries must be given to load these files. Raises CheckpointError as `files` does."""
        return self._needed().variant

    def _needed(self) -> Needed:
        try:
            need = needed(self.component, {path.name for path in self.folder.iterdir()})
        except OSError as error:
            raise CheckpointError(
                f"{self.folder} cannot be read ({error.strerror}): get the checkpoint again."
            ) from None
        if need.missing is not None:
            raise CheckpointError(f"{self.folder} lacks {need.missing}: get or copy the checkpoint again.")
        return need

    def entries(self) -> dict[str, TensorEntry]:
        """The tensors of its safetensors files; none where its weights are pickled. Raises CheckpointError."""
        entries: dict[str, TensorEntry] = {}
        for path in self.files():
            if path.suffix == ".safetensors":
                entries |= read_entries(path)
        return entries

    def is_ready(self, entries: Mapping[str, TensorEntry], device_type: str) -> bool:
        """Whether the checkpoint's own files can be used as they are."""
        if not entries or (self.component == "text_encoder" and self.precision in QUANTIZED):
            return False
        return all(
            entry.dtype == wanted_dtype(self.component, name, self.precision, device_type)
            and current_name(self.component, name) == name
            for name, entry in entries.items()
            if unit_of(self.component, name) is not Place.UNUSED
        )


def form_of(component: Component, precision: Precision, device_type: str) -> str:
    """What tells apart the files made from one content.

    Quantizers round differently on different devices, and from one version to the next.
    """
    if component == "text_encoder" and precision in QUANTIZED:
        return f"{precision}-{device_type}-bnb{_bitsandbytes_version()}"
    return "bf16" if precision is Precision.BF16 else "fp16"


def wanted_dtype(component: Component, tensor: str, precision: Precision, device_type: str) -> str:
    """How a tensor that is not quantized is stored, in the format's own word.

    T5's `wo` stays fp32 beside fp16, as transformers keeps it. Beside quantized weights stands what the device
    computes in.
    """
    if component == "text_encoder" and precision in QUANTIZED and device_type == "cpu":
        return "F32"
    if precision is Precision.BF16:
        return "BF16"
    return "F32" if component == "text_encoder" and ".wo." in tensor else "F16"


def is_quantized(component: Component, tensor: str, shape: tuple[int, ...], precision: Precision) -> bool:
    """Whether bitsandbytes takes this tensor: T5's linear layers inside its blocks, except `wo`."""
    return (
        component == "text_encoder"
        and precision in QUANTIZED
        and len(shape) == 2
        and isinstance(unit_of(component, tensor), int)
        and ".wo." not in tensor
        and "relative_attention_bias" not in tensor
    )


def current_name(component: Component, tensor: str) -> str:
    """The tensor's name as the libraries have it now: older VAE files call their attention by other words."""
    match = _OLD_ATTENTION.fullmatch(tensor) if component == "vae" else None
    return tensor if match is None else f"{match[1]}.{_NEW_ATTENTION[match[2]]}.{match[3]}"


def is_current(form: str) -> bool:
    """Whether a file of that form would be looked for: not if another version of bitsandbytes made it."""
    return "-bnb" not in form or form.endswith(f"-bnb{_bitsandbytes_version()}")


def _bitsandbytes_version() -> str:
    try:
        return version("bitsandbytes")
    except PackageNotFoundError:
        return "-absent"
