"""What waits for a window, or asks for one, in anyone's DAG."""
