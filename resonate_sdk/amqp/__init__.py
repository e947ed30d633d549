"""RabbitMQ: connections, declarations, publishing, consuming; the only importer of aio-pika.

aio-pika makes connections and declares; messages travel on the aiormq channels below it, many in
one write.
"""
