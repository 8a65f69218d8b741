"""From stored rows to the broker: MQTT 5, QoS 1, and a row is sent only when the broker has said so.

::

    forwarder   one thread: connect, wait, connect again         health, start, stop
      delivery    what goes out on one connection, and when      status, events, readings
        event_outlet     events: at once, none of them for ever
        reading_queue    fresh first, then backlog, then what was salvaged
        stored_listener  what the centre has for good            rules in `stored`
        mqtt        one connection, paho's only home             window, acknowledgements
          broker_socket   TCP and TLS, bytes on the wire         sessions in `tls_sessions`

What outlives a connection is in `memory`: the pause after a refusal, `suspects`, the rows that may have
ended one, and `refused_topics`, which rest so that readings can flow. The store is asked through
`patient_store`. `subscriber` reads from a broker with the same connection.
"""
