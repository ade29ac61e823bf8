"""Everything that this package says no with: one root, and sentences for readers."""

from __future__ import annotations


class ReleaseError(Exception):
    """Root of the errors that were foreseen; the message is a sentence for a reader."""


class AddressUnclear(ReleaseError):
    """A connection does not say where it goes, or by which scheme; the sentence names what is expected."""


class ExtensionError(ReleaseError, ValueError):
    """Something that a seam names is not there, is there twice, or cannot be loaded."""


class PlatformError(ReleaseError):
    """Something that the platform said no to; the message is a sentence for a reader."""


class PlatformUnavailable(PlatformError):
    """The platform cannot be reached, or answers with a server error. Worth another try."""


class TrafficStuck(PlatformUnavailable):
    """The traffic cannot be given back, because the route cannot be written: people have to know."""


class CommandEnded(PlatformError):
    """A command that ran did not end with 0, or not in time.

    :param output: the end of what it printed.
    :param exit_code: None: it did not end in time.
    """

    def __init__(self, sentence: str, output: str, exit_code: int | None) -> None:
        super().__init__(sentence)
        self.output, self.exit_code = output, exit_code


class Forbidden(PlatformError):
    """Rights are missing: names the verb and the resource."""


class CredentialsRefused(Forbidden):
    """The platform does not know who asks. Credentials expire and are exchanged: worth another look at the connection."""


class FenceLost(PlatformError):
    """Somebody else holds the lease now: this writer may not write any more (R2)."""


class LeaseHeld(PlatformError):
    """The lease is somebody else's and has not expired."""


class MetricsUnavailable(ReleaseError):
    """The metrics service did not answer, or answered with an error. Says nothing about the app."""


class BadQuery(MetricsUnavailable):
    """The metrics service has found the query itself wrong: asked again it gives no number either."""
