"""From stored rows to the broker: MQTT 5, QoS 1, and a row is sent only when the broker has said so.

::

    forwarder   one thread: connect, wait, connect again         health, start, stop
      delivery    what goes out on one connection, and when      fresh first, then backlog
        mqtt        one connection, paho's only home             window, acknowledgements
          broker_socket   TCP and TLS, bytes on the wire

`subscriber` reads from a broker with the same connection.
"""
