// streaming.cpp: do bodies of any length go to an API and come from it, through callables, streams and descriptors?
// streaming FILE: one that can be written.

#include "check.hpp"

#include <algorithm>
#include <array>
#include <fcntl.h>
#include <functional>
#include <memory>
#include <sstream>
#include <unistd.h>

using mtlspop::status;

static const std::string api = "https://graph.microsoft.com";
static const std::size_t large = 1024 * 1024 + 5;

// What /stream/ gives, and what is sent here: byte i is i % 251.
static char byte_at(std::size_t index) { return static_cast<char>(index % 251); }

static std::string some(std::size_t length)
{
    std::string bytes(length, '\0');
    for (std::size_t i = 0; i < length; ++i) bytes[i] = byte_at(i);
    return bytes;
}

// Gives these bytes, no more than `piece` at a time. Move-only, as a callable may be.
struct reader {
    explicit reader(std::size_t all, std::size_t at_once = std::size_t(-1)) : length(all), piece(at_once) {}
    std::size_t operator()(mtlspop::bytes_span place)
    {
        const std::size_t count = std::min({place.size(), piece, length - *at});
        for (std::size_t i = 0; i < count; ++i) place[i] = static_cast<std::uint8_t>(byte_at((*at)++));
        return count;
    }
    std::size_t length, piece;
    std::unique_ptr<std::size_t> at = std::make_unique<std::size_t>(0);
};

static mtlspop::http_request put(const std::string &path = "/upload") { return {"PUT", api + path}; }

static std::string announced(std::size_t length) { return "\"length\":" + std::to_string(length); }

// Says the API that it got all of it? Bytes of another order have another hash.
static std::string hash(const mtlspop::http_response &response)
{
    const std::string said(response.body().text());
    CHECK(response.status() == 200 && contains(said, announced(large)));
    const auto at = said.find("\"sha256\":\"");
    return at == std::string::npos ? said : said.substr(at, 80);
}

static void uploads(const mtlspop::app &app, const mtlspop::token &token, const std::string &path)
{
    const auto data = some(large);
    const auto whole = hash(app.send(token, put().with_body("text/plain", data)));
    for (const std::int64_t length : {std::int64_t(large), std::int64_t(-1)}) {
        CHECK(hash(app.send(token, put().with_body_reader("text/plain", length, reader(large)))) == whole);
        CHECK(hash(app.send(token, put().with_body_reader("", length, reader(large, 777)))) == whole);
    }
    std::function<std::size_t(mtlspop::bytes_span)> function = [at = std::make_shared<reader>(large)](auto place) {
        return (*at)(place);
    };
    CHECK(hash(app.send(token, put().with_body_reader(nullptr, -1, function))) == whole);

    std::istringstream text("..." + data);
    text.seekg(3);
    auto request = put();
    request.with_body_stream("text/plain", text);
    for (int i = 0; i < 2; ++i) CHECK(hash(app.send(token, request)) == whole);

    std::ofstream(path, std::ios::binary) << data;
    std::ifstream file(path, std::ios::binary);
    CHECK(hash(app.send(token, put().with_body_stream("text/plain", file))) == whole);
    const int fd = open(path.c_str(), O_RDONLY);
    CHECK(hash(app.send(token, put().with_body_fd("text/plain", fd))) == whole);
    close(fd);

    // One that cannot seek.
    struct pipe_buffer : std::streambuf {
        reader bytes{large};
        std::array<char, 1000> place{};
        int underflow() override
        {
            const auto count = static_cast<std::ptrdiff_t>(bytes(place));
            if (count == 0) return traits_type::eof();
            setg(place.data(), place.data(), place.data() + count);
            return traits_type::to_int_type(place[0]);
        }
    } buffer;
    std::istream pipe(&buffer);
    CHECK(hash(app.send(token, put().with_body_stream("text/plain", pipe))) == whole);
}

// A body that was taken is sent again with another token only where it can be rewound.
static void challenges(const mtlspop::app &app, const mtlspop::token &token)
{
    const auto asked = graph_request(true);
    for (const std::string path : {"/claims-challenge/upload", "/claims-challenge/upload-first"}) {
        auto request = put(path);
        const auto bytes = std::make_shared<reader>(large);
        int rewound = 0;
        request.with_body_reader(
            "", -1, [bytes](mtlspop::bytes_span place) { return (*bytes)(place); },
            [bytes, &rewound] { *bytes->at = 0, ++rewound; });
        request.with_token_request(asked);
        CHECK(app.send(token, request).status() == 200);
        CHECK(rewound == (path == "/claims-challenge/upload" ? 0 : 1));

        auto once = put(path);
        once.with_body_reader("", -1, reader(large)).with_token_request(asked);
        CHECK(app.send(token, once).status() == (path == "/claims-challenge/upload" ? 200 : 401));
        CHECK(app.try_send(token, once).error().status() == status::invalid_argument);
    }
}

struct disk_full : std::runtime_error {
    disk_full() : std::runtime_error("the disk is full") {}
};

static void failures(const mtlspop::app &app, const mtlspop::token &token)
{
    auto request = put();
    request.with_body_reader("", -1, [](mtlspop::bytes_span) -> std::size_t { throw disk_full(); });
    CHECK_THROWS(disk_full, app.send(token, request))([](const disk_full &) {});
    request = put();
    request.with_body_reader("", -1, [](mtlspop::bytes_span) -> std::size_t { throw disk_full(); });
    const auto failed = app.try_send_streaming(token, request);
    CHECK(failed.error().status() == status::callback && failed.error().cause() != nullptr);
    for (const std::int64_t length : {std::int64_t(large - 1), std::int64_t(large + 1)}) {
        const auto wrong = app.try_send(token, put().with_body_reader("", length, reader(large)));
        CHECK(wrong.error().status() == status::invalid_argument);
    }
    const auto more = app.try_send(token, put().with_body_reader("", -1, [](mtlspop::bytes_span place) {
        return place.size() + 1;
    }));
    CHECK(more.error().status() == status::callback || more.error().status() == status::invalid_argument);
    std::istringstream broken("text");
    request = put();
    request.with_body_stream("", broken);
    broken.setstate(std::ios::badbit);
    CHECK_THROWS(mtlspop::error, app.send(token, request))
    ([](const mtlspop::error &thrown) { CHECK(thrown.code() == "body_stream_failed"); });
    // A file that is not there is no empty one.
    std::ifstream missing("/nowhere/to/be/found", std::ios::binary);
    CHECK_THROWS(mtlspop::error, app.send(token, put().with_body_stream("", missing)))
    ([](const mtlspop::error &thrown) { CHECK(thrown.code() == "body_stream_failed"); });
}

static void downloads(const mtlspop::app &app, const mtlspop::token &token)
{
    static_assert(!std::is_copy_constructible_v<mtlspop::http_stream>);
    const auto length = std::to_string(large);
    const auto data = some(large);
    for (const auto &path : {"/stream/" + length, "/stream/" + length + "?chunked"}) {
        const mtlspop::http_request request("GET", api + path);
        auto stream = app.send_streaming(token, request);
        const auto response = stream.response();
        CHECK(response.status() == 200 && response.body().empty() && response.certificate_requested());
        std::string got;
        CHECK(stream.read_to_end([&](mtlspop::bytes_view bytes) { got += bytes.text(); }) == large);
        CHECK(got == data);

        stream = app.send_streaming(token, request);
        std::array<char, 777> place{};
        std::vector<unsigned char> other(5);
        got.assign(place.data(), stream.read(place));
        const auto count = stream.read(other);
        got.append(reinterpret_cast<const char *>(other.data()), count);
        CHECK(!got.empty() && data.compare(0, got.size(), got) == 0);
        auto moved = std::move(stream);
        CHECK(stream.try_read(place).error().status() == status::invalid_handle);
        CHECK_THROWS(disk_full, moved.read_to_end([](mtlspop::bytes_view) { throw disk_full(); }))
        ([](const disk_full &) {});
        CHECK(moved.read(place) > 0);
    }
    // From one API to another, as it comes.
    auto from = app.send_streaming(token, {"GET", api + "/stream/" + length});
    auto request = put();
    request.with_body_reader("", -1, [&](mtlspop::bytes_span place) { return from.read(place); });
    CHECK(contains(app.send(token, request).body().text(), announced(large)));
}

static void limits(const mtlspop::app &app, const mtlspop::token &token)
{
    mtlspop::http_request request("GET", api + "/stall");
    request.with_read_timeout(std::chrono::milliseconds(200));
    auto stream = app.send_streaming(token, request);
    std::array<char, 10> place{};
    CHECK(stream.try_read(place).error().status() == status::timeout);
    CHECK(stream.try_read_to_end([](mtlspop::bytes_view) {}).error().status() == status::timeout);

    mtlspop::cancel flag;
    request = {"GET", api + "/stall"};
    stream = app.send_streaming(token, request.with_cancel(flag));
    flag.raise();
    CHECK_THROWS(mtlspop::error, stream.read(place))
    ([](const mtlspop::error &thrown) { CHECK(thrown.status() == status::cancelled); });
}

int main(int, char **arguments)
{
    return checked([&] {
        const mtlspop::app app = certificate_app();
        const auto token = app.acquire_token(graph_request(true));
        uploads(app, token, arguments[1]);
        failures(app, token);
        downloads(app, token);
        limits(app, token);
        challenges(app, token);
    });
}
