"""Calls of customerio-python until told to stop: python.py BASE_URL SITE_ID API_KEY PARALLEL PAUSE_MS STOP_FILE [CERTIFICATE_AUTHORITY]

Each thread has a client of its own, as the session beneath it is for one thread.
"""

import json
import os
import platform
import sys
import threading
import time
import urllib.parse

import requests
import urllib3
from customerio import CustomerIO
from customerio.__version__ import __version__

base, site_id, api_key, parallel, pause, stop_file = sys.argv[1:7]
url = urllib.parse.urlsplit(base)
writing = threading.Lock()


def write(line):
    with writing:
        print(json.dumps(line), flush=True)


def work(worker):
    cio = CustomerIO(site_id, api_key, host=url.hostname, port=url.port)
    customer, n = f"w{worker}", 0
    while not os.path.exists(stop_file):
        n += 1
        line = {"customer": customer, "n": n, "type": "track" if n % 2 else "identify", "ok": True}
        try:
            if line["type"] == "track":
                cio.track(customer, "step", {"n": n})
            else:
                cio.identify(customer, n=n)
        except Exception as error:
            line.update(ok=False, error=str(error))
        write(line)
        time.sleep(int(pause) / 1000)


if len(sys.argv) > 7:
    os.environ["REQUESTS_CA_BUNDLE"] = sys.argv[7]
write({"library": f"customerio-python {__version__}, Python {platform.python_version()},"
                  f" requests {requests.__version__}, urllib3 {urllib3.__version__}"})
threads = [threading.Thread(target=work, args=(worker,)) for worker in range(int(parallel))]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
