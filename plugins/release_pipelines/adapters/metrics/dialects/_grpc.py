"""gRPC's status codes, by number and by name."""

from __future__ import annotations

FAILED = {
    "CANCELLED": 1,
    "UNKNOWN": 2,
    "DEADLINE_EXCEEDED": 4,
    "UNIMPLEMENTED": 12,
    "INTERNAL": 13,
    "UNAVAILABLE": 14,
    "DATA_LOSS": 15,
}
"""What the server is at fault for, as OpenTelemetry's conventions for RPC have it, and clients that gave up."""

NUMBERS = "|".join(map(str, FAILED.values()))
NAMES = "|".join(FAILED)
