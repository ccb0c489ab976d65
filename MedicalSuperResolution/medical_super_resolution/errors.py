"""The failures a user can meet. Each message has what is wrong, the value, and what to do."""


class SuperResolutionError(Exception):
    """A known failure: its message is the one sentence the user sees."""


class SettingsError(SuperResolutionError):
    """A setting has no meaning: a factor of 0, an unknown axis, a misspelt key."""


class VolumeError(SuperResolutionError):
    """A volume or file cannot be read, enhanced or written as asked."""


class ModelError(SuperResolutionError):
    """A model file is missing, damaged, foreign or too new."""


class DeviceError(SuperResolutionError):
    """The compute device is absent or ran out of memory."""


class Cancelled(Exception):  # noqa: N818 - not reported as a failure
    """The user asked to stop. Nothing was changed."""
