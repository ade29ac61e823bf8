"""Approvals and pages with auth managers of Airflow's providers. ``make auth`` gives them an environment of their own."""
