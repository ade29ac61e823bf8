"""What waits for a window, or asks for one, in anyone's DAG."""

from release_pipelines.features.calendars.feature import FEATURE

__all__ = ["FEATURE"]
