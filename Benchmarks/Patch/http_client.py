# `count` GETs by gevent with http.client, 50 at a time, over connections that stay open.  Prints the microseconds of processor time for each.
from gevent import monkey
monkey.patch_all()
import http.client, sys, time
import gevent

host, port, count, width = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), 50

def work(n):
    connection = http.client.HTTPConnection(host, port)
    for _ in range(n):
        connection.request("GET", "/0")
        assert connection.getresponse().read() == b"hello"

before = time.process_time()
gevent.joinall([gevent.spawn(work, count // width) for _ in range(width)], raise_error=True)
print((time.process_time() - before) / count * 1e6)
