"""What the Gallery makes of a picture that is there: variations with new seeds, and the same in a larger size.

Both are new jobs at the head of the queue, of whoever asks.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from pixart_ui.access import viewer
from pixart_ui.catalog import Checkpoint
from pixart_ui.errors import InputError
from pixart_ui.gallery import larger
from pixart_ui.gallery.larger import Larger
from pixart_ui.gallery.picture import Picture
from pixart_ui.jobs.job import Job
from pixart_ui.request import MAX_IMAGES, GenerationRequest, ResolvedRequest
from pixart_ui.resolving import RANDOM_SEED_BITS
from pixart_ui.services import Services
from pixart_ui.ui.words import gallery as words


def own_checkpoint(services: Services, request: ResolvedRequest) -> Checkpoint | None:
    """The one that made it, where it has a name here."""
    return next((checkpoint for checkpoint in services.catalog if checkpoint.name == request.checkpoint), None)


def larger_sizes(services: Services, request: ResolvedRequest) -> tuple[Sequence[Larger], Sequence[Checkpoint]]:
    """The sizes that can be had now, and the checkpoints that could draw larger once they are fetched."""
    own = own_checkpoint(services, request)
    siblings = larger.siblings(request, services.catalog, own)
    here = [checkpoint for checkpoint in siblings if services.hub.is_available(checkpoint)]
    absent = [checkpoint for checkpoint in siblings if checkpoint not in here]
    return larger.offered(request, [*here, *([own] if own is not None else [])]), absent


def vary(services: Services, picture: Picture, text: str) -> tuple[Job, ...]:
    """As many as the text says. Raises InputError, or CheckpointError where its checkpoint is not here any more."""
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= MAX_IMAGES):
        raise InputError(words.VARY_RANGE.format(count=text[:20] or "0", most=MAX_IMAGES))
    request = services.gallery.request(picture)
    services.hub.locate(services.catalog.get(request.checkpoint))
    seeds = {secrets.randbits(RANDOM_SEED_BITS) for _ in range(int(text) + 1)} - {request.seed}
    again = [request.model_copy(update={"seed": seed}) for seed in list(seeds)[: int(text)]]
    return services.submit_resolved(again, viewer.current().name)


def enlarge(services: Services, picture: Picture, checkpoint: str) -> Larger:
    """Make it again with that checkpoint. Raises InputError where that size cannot be had."""
    request = services.gallery.request(picture)
    sizes, _ = larger_sizes(services, request)
    wanted = next((entry for entry in sizes if entry.checkpoint == checkpoint), None)
    if wanted is None:
        raise InputError(words.NOT_LARGER)
    asked = larger.asked(request, wanted, services.catalog.get(checkpoint), services.styles)
    services.submit(GenerationRequest.parse(asked), viewer.current().name)
    return wanted
