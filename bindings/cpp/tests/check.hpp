// check.hpp: how the C++ tests check, and the three ways in, made from the environment that devcloud sets.

#ifndef CHECK_HPP
#define CHECK_HPP

#include <mtlspop.hpp>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

inline std::atomic<int> check_failures{0};

// Is it true? The program goes on, and ends with 1.
#define CHECK(condition) check_that((condition), __FILE__, __LINE__, #condition)

// Does it throw this type? Gives it to the block that follows as `thrown`.
#define CHECK_THROWS(type, ...)                                           \
    [&](auto look) {                                                      \
        try {                                                             \
            __VA_ARGS__;                                                  \
            check_that(false, __FILE__, __LINE__, #__VA_ARGS__ " threw"); \
        } catch (const type &thrown) {                                    \
            look(thrown);                                                 \
        }                                                                 \
    }

inline void check_that(bool holds, const char *file, int line, const char *what)
{
    if (holds) return;
    ++check_failures;
    std::printf("FAILED %s:%d: %s\n", file, line, what);
    std::fflush(stdout);
}

inline bool contains(std::string_view text, std::string_view part)
{
    if (text.find(part) != std::string_view::npos) return true;
    std::printf("no \"%.*s\" in: %.*s\n", int(part.size()), part.data(), int(text.size()), text.data());
    return false;
}

// What main returns: runs the checks, for which an exception is a failure.
template <class F> int checked(F run)
{
    try {
        run();
    } catch (const std::exception &thrown) {
        std::printf("FAILED: %s\n", thrown.what());
        ++check_failures;
    }
    std::printf("%d checks failed\n", check_failures.load());
    return check_failures == 0 ? 0 : 1;
}

// An environment variable that must be there.
inline std::string env(const char *name)
{
    const char *value = std::getenv(name);
    if (!value) throw std::runtime_error(std::string(name) + " is not set: run this program with devcloud");
    return value;
}

// A file without the end of its last line.
inline std::string contents(const std::string &path)
{
    std::ifstream file(path, std::ios::binary);
    std::string all{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    if (!file) throw std::runtime_error("cannot read " + path);
    while (!all.empty() && all.back() == '\n') all.pop_back();
    return all;
}

inline const char *const graph = "https://graph.microsoft.com/v1.0/applications";

// A request for a token for Graph. Scopes work for every kind of app.
inline mtlspop::token_request graph_request(bool bound)
{
    mtlspop::token_request request("https://graph.microsoft.com/.default");
    request.with_mtls_proof_of_possession(bound);
    return request;
}

inline mtlspop::app_options client_options(const char *client_id = "AZURE_CLIENT_ID")
{
    auto options = mtlspop::app_options::confidential_client(env(client_id));
    options.with_authority("https://login.microsoftonline.com/" + env("AZURE_TENANT_ID"));
    options.with_connect_timeout(std::chrono::seconds(60)); // with a sanitizer, on a busy machine
    return options;
}

inline mtlspop::certificate sni_certificate()
{
    return mtlspop::certificate::from_file(env("AZURE_CLIENT_CERTIFICATE_PATH"));
}

inline mtlspop::app certificate_app()
{
    auto options = client_options();
    options.with_certificate(sni_certificate(), true).with_azure_region(env("AZURE_REGION"));
    return mtlspop::app(options);
}

inline mtlspop::client_signed_assertion federated_assertion(const mtlspop::assertion_op &asked)
{
    if (asked.token_type() != "mtls_pop") return contents(env("AZURE_FEDERATED_TOKEN_FILE"));
    return {contents(env("FIC_ASSERTION_PATH")), mtlspop::certificate::from_file(env("FIC_CERTIFICATE_PATH"))};
}

inline mtlspop::app federated_app()
{
    auto options = client_options("FIC_CLIENT_ID");
    options.with_client_assertion(federated_assertion);
    return mtlspop::app(options);
}

#endif
