// soak.cpp: do threads share an app, does a flag stop a call, and does memory stay where it is in 100,000 rounds?

#include "check.hpp"

#include <unistd.h>

static long resident_pages()
{
    long all = 0, resident = 0;
    std::ifstream("/proc/self/statm") >> all >> resident;
    return resident;
}

// Everything that owns something, once.
static void round(const mtlspop::app &app, const mtlspop::token_request &request)
{
    const mtlspop::token token = app.acquire_token(request);
    CHECK(token.source() == mtlspop::token_source::cache);
    const auto certificate = token.binding_certificate();
    CHECK(certificate->chain_count() >= 1);
    mtlspop::token_request bad("https://graph.microsoft.com/.default");
    bad.with_claims("no JSON");
    const auto failed = app.try_acquire_token(bad);
    CHECK(failed.error().status() == mtlspop::status::invalid_argument);
    CHECK_THROWS(mtlspop::error, failed.value())([](const mtlspop::error &) {});
    auto options = client_options();
    options.with_client_assertion([text = std::string(1000, 'x')](const auto &) { return text; });
    const mtlspop::app unused(options);
    CHECK(unused.token_cache().entries() == 0);
}

static void rounds(const mtlspop::app &app, int number)
{
    const auto request = graph_request(true);
    (void)app.acquire_token(request);
    const auto some = [&](int count) {
        for (int i = 0; i < count; ++i) round(app, request);
    };
    some(number / 10);
    const long before = resident_pages();
    some(number);
    const long grown = (resident_pages() - before) * sysconf(_SC_PAGESIZE);
    std::printf("%d rounds: %ld bytes more\n", number, grown);
    // A leak of 10 bytes a round would be seen.
    CHECK(number < 100000 || grown < 1000000);
}

static void threads(const mtlspop::app &app)
{
    const auto request = graph_request(true);
    std::vector<std::thread> all;
    for (int i = 0; i < 32; ++i) {
        all.emplace_back([&] {
            const auto token = app.try_acquire_token(request);
            const auto response = token ? app.try_send(*token, mtlspop::http_request("GET", graph)) : token.error();
            if (!response) std::printf("%s\n", response.error().what());
            CHECK(response && response->status() == 200);
        });
    }
    for (auto &thread : all) thread.join();
}

// The caller of this program sees to it that the service then takes a minute.
static void stopped(const mtlspop::app &app)
{
    const mtlspop::cancel flag;
    auto request = graph_request(true);
    request.with_force_refresh().with_cancel(flag);
    std::thread other([&] { flag.raise(); });
    CHECK(app.try_acquire_token(request).error().status() == mtlspop::status::cancelled);
    other.join();
    request.with_cancel(mtlspop::cancel()).with_timeout(std::chrono::milliseconds(1));
    CHECK(app.try_acquire_token(request).error().status() == mtlspop::status::timeout);
}

int main(int, char **arguments)
{
    return checked([&] {
        const mtlspop::app app = certificate_app();
        threads(app);
        rounds(app, std::atoi(arguments[1]));
        stopped(app);
    });
}
