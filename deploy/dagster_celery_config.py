"""The configuration of a Celery worker; it must be on the worker's Python path."""

import os

broker_url = os.environ["CELERY_BROKER_URL"]
result_backend = os.environ["CELERY_RESULT_BACKEND"]

# A worker takes a run only when a process is free. A run that waits in a worker that dies would wait for an hour.
worker_prefetch_multiplier = 1
worker_disable_prefetch = True
task_acks_late = False

# Dagster queries the result of a run to see if it is alive, and considers it dead if the result has expired.
result_expires = 30 * 24 * 3600

worker_send_task_events = False
broker_connection_retry_on_startup = True
