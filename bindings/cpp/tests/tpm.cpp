// tpm.cpp: does a key in a TPM do for tokens and handshakes, with its file and its authorisation value?
// TPM2TOOLS_TCTI names a software TPM.

#include "check.hpp"

#include <array>

using mtlspop::status;

int main()
{
    return checked([] {
        struct vault_closed {};
        mtlspop::tpm_options tpm;
        tpm.with_tcti(env("TPM2TOOLS_TCTI")).with_auth_callback([] { return std::string("open sesame"); });
        auto options = mtlspop::app_options::managed_identity();
        options.with_tpm(tpm).with_min_strength(mtlspop::binding_strength::hardware);
        const mtlspop::app app(options);
        const auto token = app.acquire_token(graph_request(true));
        CHECK(token.token_type() == "mtls_pop");
        CHECK(app.send(token, mtlspop::http_request("GET", graph)).status() == 200);

        const auto certificate = token.binding_certificate();
        CHECK(!certificate->is_exportable() && certificate->sign("PS256", "x").size() == 256);
        CHECK(certificate->try_export_private_key_pem().error().status() == status::key_unavailable);
        const auto key = certificate->export_tpm_key_pem();
        CHECK(contains(key.text(), "-----BEGIN TSS2 PRIVATE KEY-----"));
        const auto same = mtlspop::certificate::with_tpm_key(certificate->chain_pem(), key, tpm);
        CHECK(same.x5t_s256() == certificate->x5t_s256() && same.sign("RS256", "x").size() == 256);

        // A value that is thrown for, a wrong one, none.
        tpm.with_auth_callback([]() -> std::string { throw vault_closed(); });
        CHECK_THROWS(vault_closed, mtlspop::certificate::with_tpm_key(certificate->pem(), key, tpm))
        ([](const vault_closed &) {});
        const auto wrong = mtlspop::certificate::try_with_tpm_key(certificate->pem(), key, tpm.with_auth("wrong"));
        CHECK(wrong.error().status() == status::key_unavailable && wrong.error().code() == "tpm_auth_failed");
        mtlspop::tpm_options none;
        none.with_tcti(env("TPM2TOOLS_TCTI"));
        CHECK(mtlspop::certificate::try_with_tpm_key(certificate->pem(), key, none).error().status() ==
              status::invalid_argument);

        // Attested, at a handle of its own.
        const std::array<std::uint8_t, 8> pcrs = {0, 1, 2, 3, 4, 5, 6, 7};
        mtlspop::tpm_options attesting;
        attesting.with_tcti(env("TPM2TOOLS_TCTI")).with_attestation(pcrs);
        attesting.with_persistent_handle(0x81000042);
        options.with_tpm(attesting);
        const mtlspop::app attested(options);
        auto request = graph_request(true);
        request.with_min_strength(mtlspop::binding_strength::attested);
        CHECK(attested.acquire_token(request).binding_strength() == mtlspop::binding_strength::attested);
        CHECK(attested.managed_identity_capabilities().max_supported_binding_strength() ==
              mtlspop::binding_strength::attested);

        none.with_plugin("/nowhere.so");
        const auto missing = mtlspop::certificate::try_with_tpm_key(certificate->pem(), key, none);
        CHECK(missing.error().status() == status::not_supported && missing.error().code() == "tpm_unavailable");
    });
}
