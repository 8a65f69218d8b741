"""provisioning: from a blank box to a gateway that may publish; runs on the operator's machine.

    sites.csv ──▶ inventory ──▶ bundle ──▶ stick or SSH ──▶ the box makes its key and a request
                      │                                                   │
                      └── which ids may be signed ──▶ authority ◀─────────┘  carried, or by enrolment
                                                          │
                                     certificate, CRL ──▶ broker (rendered, probed)

`locks/` pins what is installed on gateway and operator's machine.
"""
