"""librdkafka's broker for tests: a real protocol on a real port, in memory. It prints its address, and ends with its input."""

import sys

from confluent_kafka import Producer

# The setting replaces the servers by a broker in this process.
producer = Producer({"bootstrap.servers": "none", "test.mock.num.brokers": 1, "log_level": 0})
[broker] = producer.list_topics(timeout=10).brokers.values()
print(f"{broker.host}:{broker.port}", flush=True)
sys.stdin.read()
