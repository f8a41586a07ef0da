"""What a worker of Dramatiq loads that dramatiq_works.py kills."""

import dramatiq_works

broker = dramatiq_works.broker
