"""Schedulers by name, built from the checkpoint's own scheduler config.

The config decides what the transformer predicts and its noise schedule; only the sampler changes. Where a checkpoint
ships the wanted class its config is used as it is, so that the default equals the stock pipeline's.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    LCMScheduler,
    SASolverScheduler,
    UniPCMultistepScheduler,
)

from pixart_ui.request import Scheduler

CLASSES: dict[Scheduler, Any] = {
    Scheduler.DPM_SOLVER: DPMSolverMultistepScheduler,
    Scheduler.SA_SOLVER: SASolverScheduler,
    Scheduler.UNIPC: UniPCMultistepScheduler,
    Scheduler.EULER: EulerDiscreteScheduler,
    Scheduler.DDIM: DDIMScheduler,
    Scheduler.LCM: LCMScheduler,
    Scheduler.DDPM: DDPMScheduler,
}


# What describes the checkpoint's noise schedule and prediction; the rest of a config belongs to one sampler class.
SHARED_KEYS = (
    "num_train_timesteps",
    "beta_start",
    "beta_end",
    "beta_schedule",
    "trained_betas",
    "prediction_type",
    "timestep_spacing",
    "steps_offset",
    "rescale_betas_zero_snr",
)


def build(scheduler: Scheduler, folder: Path) -> Any:
    """A fresh scheduler (they keep state between steps) from the config in `folder`."""
    cls = CLASSES[scheduler]
    config = cls.load_config(folder)
    if "num_train_timesteps" not in config:
        raise ValueError("scheduler_config.json does not say num_train_timesteps")
    if config.get("_class_name") == cls.__name__:
        return cls.from_config(config)
    shared = {key: config[key] for key in SHARED_KEYS if key in config}
    accepted = inspect.signature(cls.__init__).parameters
    if "clip_sample" in accepted:  # it is for pixels in -1 … 1; latents are wider
        shared["clip_sample"] = False
    return cls(**{key: value for key, value in shared.items() if key in accepted})
