"""Who this gateway is and how it became one: its board, and the enrolment with the centre."""
