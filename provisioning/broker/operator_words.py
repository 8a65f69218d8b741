"""What a broker's operator does about a problem: the agent's words speak of the settings of a gateway."""

from agent.language import N_, _
from agent.publish.problems import LinkProblem

_AUTHORITY = N_("the certificate of the broker is not from the authority of this folder")

_STEPS = {
    "name_not_resolved": N_("check the HOST that you typed, and that this machine has a name server"),
    "name_impossible": N_("check the HOST that you typed"),
    "refused": N_("check that the broker runs, then --port"),
    "unreachable": N_("check the network of this machine"),
    "network": N_("check the network of this machine"),
    "timeout": N_("check HOST and --port, then the firewall of the broker"),
    "tls_unknown_authority": N_("check HOST and --ca; the certificate is made by: broker render"),
    "tls_self_signed": N_("check HOST and --port; the certificate is made by: broker render"),
    "tls_server_untrusted": N_("let `broker render` make a certificate, and copy it to the broker"),
    "tls_wrong_name": N_("name it as gateways do, and render again: broker render --host NAME"),
    "tls_expired": N_("check the clock of this machine, then render again: broker render"),
    "tls_not_yet_valid": N_("check the clock of this machine, then that of the authority"),
    "tls_not_spoken": N_("check --port; the listener needs certfile, keyfile and cafile"),
    "tls_own_certificate_refused": N_("compare cafile and crlfile with what `broker render` writes"),
    "bad_credentials": N_(
        "compare require_certificate and use_identity_as_username with what `broker render` writes"
    ),
    "not_authorised": N_(
        "compare require_certificate and use_identity_as_username with what `broker render` writes"
    ),
    "closed_without_answer": N_("check --port, and that the broker speaks MQTT 5; its log may tell more"),
    "no_answer": N_("check --port, and that the broker speaks MQTT 5; its log may tell more"),
}


def for_the_operator(problem: LinkProblem) -> LinkProblem:
    """Return the same problem with the next step of whoever runs the broker."""
    step = _STEPS.get(problem.code)
    what = _(_AUTHORITY) if problem.code == "tls_unknown_authority" else problem.what
    return LinkProblem(problem.code, what, _(step) if step else problem.next_step)
