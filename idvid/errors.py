"""Errors a user may read: one sentence that says what is wrong, how much, and what to do next."""


class IdvidError(Exception):
    """Base of all errors whose message is fit for a user: no path, no traceback, one sentence."""


class InputError(IdvidError):
    """The request itself is wrong: a prompt, a name, a number or a file."""


class ReferencePhotoError(InputError):
    """No photo of a character can be used as a reference."""


class ModelError(IdvidError):
    """A model is missing, damaged or does not fit this machine."""


class HubError(ModelError):
    """The Hugging Face Hub did not give us what we asked for."""


class SeedError(IdvidError):
    """A synthetic person outside the seed ranges that may be rendered."""
