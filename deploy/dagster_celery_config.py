"""What a Celery worker is told; it has to be found on the worker's Python path."""

import os

broker_url = os.environ["CELERY_BROKER_URL"]
result_backend = os.environ["CELERY_RESULT_BACKEND"]

# A run is taken when a process is free for it. One that waited in a worker that dies would wait for an hour.
worker_prefetch_multiplier = 1
worker_disable_prefetch = True
task_acks_late = False

# Dagster asks here whether a run is alive: where nothing is known of it any more, it is taken for dead.
result_expires = 30 * 24 * 3600

worker_send_task_events = False
broker_connection_retry_on_startup = True
