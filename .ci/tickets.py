"""A made-up table of tickets: ``tickets.py FILE ROWS LABEL_COLUMN``."""

import csv
import random
import sys

QUEUES = {
    "billing": ["invoice", "charged", "refund", "price"],
    "shipping": ["parcel", "delivery", "late", "courier"],
}

draw = random.Random(1)
with open(sys.argv[1], "w", newline="", encoding="utf-8") as stream:
    writer = csv.writer(stream)
    writer.writerow(["id", "text", sys.argv[3]])
    for number in range(int(sys.argv[2])):
        queue = draw.choice(list(QUEUES))
        words = [draw.choice(["the", "my", "our"]), *draw.sample(QUEUES[queue], 2), str(number)]
        writer.writerow([number, " ".join(words), queue])
