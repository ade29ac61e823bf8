"""Releases as pages inside Airflow. Only the API server imports more than :mod:`release_pipelines.pages.plugin`."""
