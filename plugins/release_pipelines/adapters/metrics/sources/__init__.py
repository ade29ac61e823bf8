"""What measures the ready-made metrics: one module each, called as people write it as a metric's ``source``."""
