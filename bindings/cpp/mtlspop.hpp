/*
 * mtlspop.hpp: libmtlspop for C++17, header-only over mtlspop.h.
 *
 *     mtlspop::app app(mtlspop::app_options::managed_identity());
 *     mtlspop::token_request request("https://graph.microsoft.com/");
 *     request.with_mtls_proof_of_possession();
 *     mtlspop::token token = app.acquire_token(request);
 *
 * Names       mtlspop_x_y() is x::y(), mtlspop_x_set_y() is x::with_y(), mtlspop_x_new() the constructor or a
 *             factory: what each does, takes and fails with is said in mtlspop.h. This file knows no rules.
 * Ownership   Objects own their handles and are move-only; copies of a certificate or an error share one.
 *             std::string_view and bytes_view are borrowed from the object they were asked of and end with it, and
 *             with its copies. What is passed in is copied. A moved-from object is safe: getters give nothing, calls
 *             fail with status::invalid_handle.
 * Errors      Calls throw mtlspop::error; each has a sibling try_..., which returns a result<T> instead. Setters
 *             keep the first bad value, and the call that uses the settings reports it.
 * Callbacks   Anything that can be called, also move-only. It answers by returning, and fails by throwing: what was
 *             thrown in a callback leaves the call that asked, on its thread; error::cause() has it for try_...
 *             Another call that waited for the same answer gets a mtlspop::error with the text of what(), so that
 *             holds no secrets. The library goes on without a store, log, metrics or refresh callback that throws: a store's
 *             text becomes a warning in the log, the others are ignored. A callback is destroyed when the library is
 *             done with it, on whatever thread that is; it may be called on several at once.
 * Threads     As in mtlspop.h: const member functions from any number of threads, others from one at a time.
 * ABI         The first object that is made checks that the library has what this header needs: see check_abi().
 */

#ifndef MTLSPOP_HPP
#define MTLSPOP_HPP

/* Visual C++ says its standard here; its __cplusplus stays at C++98 unless it is told otherwise. */
#if (defined(_MSVC_LANG) ? _MSVC_LANG : __cplusplus) < 201703L

#error "mtlspop.hpp needs C++17 or later: compile with -std=c++17"

#else

#include <mtlspop.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace mtlspop {

/* ==== Numbers: a newer library may give others, too ========================================== */

enum class status : std::int32_t {
    ok = MTLSPOP_OK,
    invalid_argument = MTLSPOP_E_INVALID_ARGUMENT,
    invalid_handle = MTLSPOP_E_INVALID_HANDLE,
    not_supported = MTLSPOP_E_NOT_SUPPORTED,
    network = MTLSPOP_E_NETWORK,
    timeout = MTLSPOP_E_TIMEOUT,
    cancelled = MTLSPOP_E_CANCELLED,
    rejected = MTLSPOP_E_REJECTED,
    throttled = MTLSPOP_E_THROTTLED,
    interaction_required = MTLSPOP_E_INTERACTION_REQUIRED,
    invalid_response = MTLSPOP_E_INVALID_RESPONSE,
    key_unavailable = MTLSPOP_E_KEY_UNAVAILABLE,
    callback = MTLSPOP_E_CALLBACK,
    internal = MTLSPOP_E_INTERNAL,
};

enum class pkcs12_format : std::int32_t { modern = MTLSPOP_PKCS12_MODERN, legacy = MTLSPOP_PKCS12_LEGACY };

enum class metric_kind : std::int32_t {
    counter = MTLSPOP_METRIC_KIND_COUNTER,
    histogram = MTLSPOP_METRIC_KIND_HISTOGRAM,
};

enum class body_kind : std::int32_t { read = MTLSPOP_BODY_READ, rewind = MTLSPOP_BODY_REWIND };

enum class store_kind : std::int32_t { load = MTLSPOP_STORE_LOAD, save = MTLSPOP_STORE_SAVE };

enum class log_level : std::int32_t {
    error = MTLSPOP_LOG_ERROR,
    warning = MTLSPOP_LOG_WARNING,
    info = MTLSPOP_LOG_INFO,
    verbose = MTLSPOP_LOG_VERBOSE,
};

enum class managed_identity_source : std::int32_t {
    none = MTLSPOP_SOURCE_NONE,
    app_service = MTLSPOP_SOURCE_APP_SERVICE,
    azure_arc = MTLSPOP_SOURCE_AZURE_ARC,
    cloud_shell = MTLSPOP_SOURCE_CLOUD_SHELL,
    imds = MTLSPOP_SOURCE_IMDS,
    machine_learning = MTLSPOP_SOURCE_MACHINE_LEARNING,
    service_fabric = MTLSPOP_SOURCE_SERVICE_FABRIC,
};

enum class binding_strength : std::int32_t {
    none = MTLSPOP_STRENGTH_NONE,
    software = MTLSPOP_STRENGTH_SOFTWARE,
    hardware = MTLSPOP_STRENGTH_HARDWARE,
    attested = MTLSPOP_STRENGTH_ATTESTED,
};

enum class token_source : std::int32_t {
    identity_provider = MTLSPOP_TOKEN_SOURCE_IDENTITY_PROVIDER,
    cache = MTLSPOP_TOKEN_SOURCE_CACHE,
};

enum class region_outcome : std::int32_t {
    none = MTLSPOP_REGION_OUTCOME_NONE,
    autodetect_success = MTLSPOP_REGION_OUTCOME_AUTODETECT_SUCCESS,
    fallback_to_global = MTLSPOP_REGION_OUTCOME_FALLBACK_TO_GLOBAL,
    user_provided = MTLSPOP_REGION_OUTCOME_USER_PROVIDED,
};

enum class cache_level : std::int32_t {
    none = MTLSPOP_CACHE_LEVEL_NONE,
    l1 = MTLSPOP_CACHE_LEVEL_L1,
    l2 = MTLSPOP_CACHE_LEVEL_L2,
};

enum class cache_refresh_reason : std::int32_t {
    not_applicable = MTLSPOP_CACHE_REFRESH_REASON_NOT_APPLICABLE,
    force_refresh_or_claims = MTLSPOP_CACHE_REFRESH_REASON_FORCE_REFRESH_OR_CLAIMS,
    no_cached_access_token = MTLSPOP_CACHE_REFRESH_REASON_NO_CACHED_ACCESS_TOKEN,
    expired = MTLSPOP_CACHE_REFRESH_REASON_EXPIRED,
    proactively_refreshed = MTLSPOP_CACHE_REFRESH_REASON_PROACTIVELY_REFRESHED,
};

/** The name of a status in C, for logs: "MTLSPOP_E_NETWORK". */
inline std::string_view status_name(status value)
{
    return mtlspop_status_name(static_cast<mtlspop_status>(value));
}

/* ==== Text, bytes and time =================================================================== */

using time_point = std::chrono::system_clock::time_point;

/** Borrowed bytes: what std::span<const std::uint8_t> is in C++20. Made from text and any container of bytes. */
class bytes_view {
public:
    constexpr bytes_view() noexcept = default;
    constexpr bytes_view(const std::uint8_t *data, std::size_t size) noexcept : data_(data), size_(size) {}
    bytes_view(std::nullptr_t) = delete;

    template <class T, std::enable_if_t<std::is_convertible_v<const T &, std::string_view>, int> = 0>
    bytes_view(const T &text) : bytes_view(of(std::string_view(text)))
    {
    }

    template <class T, std::enable_if_t<!std::is_convertible_v<const T &, std::string_view> &&
                                            sizeof(*std::declval<const T &>().data()) == 1,
                                        int> = 0>
    bytes_view(const T &container) : bytes_view(of(container))
    {
    }

    constexpr const std::uint8_t *data() const noexcept { return data_; }
    constexpr std::size_t size() const noexcept { return size_; }
    constexpr bool empty() const noexcept { return size_ == 0; }
    constexpr const std::uint8_t *begin() const noexcept { return data_; }
    constexpr const std::uint8_t *end() const noexcept { return data_ + size_; }
    constexpr std::uint8_t operator[](std::size_t index) const noexcept { return data_[index]; }

    /** The same bytes as text. */
    std::string_view text() const noexcept { return {reinterpret_cast<const char *>(data_), size_}; }

private:
    template <class T> static bytes_view of(const T &container)
    {
        return {reinterpret_cast<const std::uint8_t *>(container.data()), container.size()};
    }

    const std::uint8_t *data_ = nullptr;
    std::size_t size_ = 0;
};

/** A place for bytes: what std::span<std::uint8_t> is in C++20. Made from any container that has one. */
class bytes_span {
public:
    constexpr bytes_span(std::uint8_t *data, std::size_t size) noexcept : data_(data), size_(size) {}

    template <class T, std::enable_if_t<sizeof(*std::declval<T &>().data()) == 1 &&
                                            !std::is_const_v<std::remove_reference_t<decltype(*std::declval<T &>().data())>>,
                                        int> = 0>
    bytes_span(T &container) : bytes_span(reinterpret_cast<std::uint8_t *>(container.data()), container.size())
    {
    }

    constexpr std::uint8_t *data() const noexcept { return data_; }
    constexpr std::size_t size() const noexcept { return size_; }
    constexpr bool empty() const noexcept { return size_ == 0; }
    constexpr std::uint8_t *begin() const noexcept { return data_; }
    constexpr std::uint8_t *end() const noexcept { return data_ + size_; }
    constexpr std::uint8_t &operator[](std::size_t index) const noexcept { return data_[index]; }

private:
    std::uint8_t *data_;
    std::size_t size_;
};

/** Text that is passed in; NULL (nullptr, std::nullopt) where mtlspop.h allows it. Lives as long as the call. */
class text {
public:
    text(std::nullptr_t) noexcept {}
    text(std::nullopt_t) noexcept {}
    text(const char *value) noexcept : value_(value) {}
    text(const std::string &value) noexcept : value_(whole(value)) {}
    text(std::string_view value) : copy_(value), value_(whole(copy_)) {}
    text(const std::optional<std::string_view> &value)
        : copy_(value.value_or(std::string_view())), value_(value ? whole(copy_) : nullptr)
    {
    }
    text(const text &) = delete;
    text &operator=(const text &) = delete;
    ~text() { wipe(copy_); }

    const char *c_str() const noexcept { return value_; }

    /** Overwrites bytes before they are freed. */
    template <class T> static void wipe(T &bytes) noexcept
    {
        volatile auto *data = bytes.data();
        for (std::size_t i = 0; i < bytes.size(); ++i) data[i] = {};
    }

private:
    /* C would cut text at a NUL. The library refuses this in its place, by the parameter's name: it is no UTF-8. */
    static const char *whole(const std::string &value) noexcept
    {
        return value.find('\0') == std::string::npos ? value.c_str() : "\xff";
    }

    std::string copy_;
    const char *value_ = nullptr;
};

/* ==== Error: why a call failed =============================================================== */

namespace detail {

/** Frees a handle. */
template <auto Free> struct deleter {
    template <class H> void operator()(H *handle) const noexcept { Free(handle); }
};

/** An owner of a handle: what all classes here are. */
template <class H, auto Free> class owner {
public:
    using handle_type = H;

    /** Takes a handle of C over. */
    explicit owner(H *handle) noexcept : handle_(handle) {}

    /** The handle, for functions of C; it stays this object's. */
    H *get() const noexcept { return handle_.get(); }

    /** Gives the handle away. */
    H *release() noexcept { return handle_.release(); }

    /** Whether it has a handle: not after it was moved from. */
    explicit operator bool() const noexcept { return handle_ != nullptr; }

protected:
    owner(owner &&) noexcept = default;
    owner &operator=(owner &&) noexcept = default;
    ~owner() = default;

private:
    std::unique_ptr<H, deleter<Free>> handle_;
};

inline std::string_view view(const char *value) noexcept
{
    return value ? std::string_view(value) : std::string_view();
}

inline std::optional<std::string_view> maybe(const char *value) noexcept
{
    return value ? std::optional<std::string_view>(value) : std::nullopt;
}

inline time_point at(std::int64_t seconds) { return time_point(std::chrono::seconds(seconds)); }

inline std::optional<std::chrono::milliseconds> limit(std::int64_t milliseconds)
{
    if (milliseconds < 0) return std::nullopt;
    return std::chrono::milliseconds(milliseconds);
}

template <class H> bytes_view bytes(const std::uint8_t *(*function)(const H *, std::size_t *), const H *handle) noexcept
{
    std::size_t size = 0;
    const std::uint8_t *data = function(handle, &size);
    return {data, size};
}

/** A handle that only memory can be missing for. */
template <class H> H *made(H *handle)
{
    if (!handle) throw std::bad_alloc();
    return handle;
}

} // namespace detail

/** Why a call failed. Copies share what it says. */
class error : public std::exception {
public:
    /** Takes an error of C over, which may be NULL, with what a callback threw, if one did. */
    error(mtlspop_status value, mtlspop_error *handle, std::exception_ptr cause = nullptr)
        : state_(std::make_shared<const state>(value, handle, std::move(cause)))
    {
    }

    /** One that the binding itself found. */
    error(mtlspop::status value, std::string_view code, std::string message)
        : state_(std::make_shared<const state>(value, code, std::move(message)))
    {
    }

    mtlspop::status status() const noexcept { return state_->value; }
    const char *what() const noexcept override
    {
        const char *said = mtlspop_error_message(get());
        if (said) return said;
        return state_->message.empty() ? mtlspop_status_name(number()) : state_->message.c_str();
    }
    std::string_view message() const noexcept { return what(); }
    std::string_view code() const noexcept { return get() ? detail::view(mtlspop_error_code(get())) : state_->code; }
    int http_status() const noexcept { return mtlspop_error_http_status(get()); }
    std::vector<std::int32_t> aadsts_codes() const
    {
        std::vector<std::int32_t> codes(mtlspop_error_aadsts_count(get()));
        for (std::size_t i = 0; i < codes.size(); ++i) codes[i] = mtlspop_error_aadsts_code(get(), i);
        return codes;
    }
    std::optional<std::string_view> sub_error() const noexcept { return detail::maybe(mtlspop_error_sub_error(get())); }
    std::optional<std::string_view> correlation_id() const noexcept
    {
        return detail::maybe(mtlspop_error_correlation_id(get()));
    }
    std::optional<std::string_view> claims() const noexcept { return detail::maybe(mtlspop_error_claims(get())); }
    std::optional<std::chrono::seconds> retry_after() const noexcept
    {
        const std::int64_t seconds = get() ? mtlspop_error_retry_after_seconds(get()) : -1;
        return seconds < 0 ? std::nullopt : std::optional<std::chrono::seconds>(seconds);
    }
    bool is_retryable() const noexcept { return mtlspop_error_is_retryable(get()) == 1; }
    /** How far a call for a token came, as of a token: the endpoint it asked or was about to ask, and its region. */
    std::optional<std::string_view> token_endpoint() const noexcept
    {
        return detail::maybe(mtlspop_error_token_endpoint(get()));
    }
    std::optional<std::string_view> region() const noexcept { return detail::maybe(mtlspop_error_region(get())); }
    std::optional<mtlspop::region_outcome> region_outcome() const noexcept
    {
        const std::int32_t outcome = mtlspop_error_region_outcome(get());
        if (outcome < 0) return std::nullopt;
        return static_cast<mtlspop::region_outcome>(outcome);
    }
    std::optional<std::string_view> region_error() const noexcept
    {
        return detail::maybe(mtlspop_error_region_error(get()));
    }
    std::chrono::milliseconds duration_total() const
    {
        return std::chrono::milliseconds(mtlspop_error_duration_total_ms(get()));
    }
    std::chrono::milliseconds duration_in_http() const
    {
        return std::chrono::milliseconds(mtlspop_error_duration_in_http_ms(get()));
    }
    std::chrono::milliseconds duration_in_cache() const
    {
        return std::chrono::milliseconds(mtlspop_error_duration_in_cache_ms(get()));
    }

    /** What a callback of this call threw, where that is why it failed. */
    const std::exception_ptr &cause() const noexcept { return state_->cause; }

    /** Throws what the call would have thrown: the cause, or this. */
    [[noreturn]] void raise() const
    {
        if (cause()) std::rethrow_exception(cause());
        throw *this;
    }

private:
    struct state {
        state(mtlspop_status number, mtlspop_error *error_handle, std::exception_ptr thrown)
            : handle(error_handle), value(static_cast<mtlspop::status>(number)), cause(std::move(thrown))
        {
        }
        state(mtlspop::status number, std::string_view its_code, std::string its_message)
            : value(number), code(its_code), message(std::move(its_message))
        {
        }

        std::unique_ptr<mtlspop_error, detail::deleter<mtlspop_error_free>> handle;
        mtlspop::status value;
        std::string_view code;
        std::string message;
        std::exception_ptr cause;
    };

    const mtlspop_error *get() const noexcept { return state_->handle.get(); }
    mtlspop_status number() const noexcept { return static_cast<mtlspop_status>(state_->value); }

    std::shared_ptr<const state> state_;
};

/** What a try_... call gives: a value or an error. */
template <class T> class [[nodiscard]] result {
public:
    result(T value) : content_(std::in_place_index<0>, std::move(value)) {}
    result(mtlspop::error failure) : content_(std::in_place_index<1>, std::move(failure)) {}

    bool has_value() const noexcept { return content_.index() == 0; }
    explicit operator bool() const noexcept { return has_value(); }

    /** The value; without one it throws what the call would have thrown. */
    T &value() & { return checked(), *std::get_if<0>(&content_); }
    const T &value() const & { return checked(), *std::get_if<0>(&content_); }
    T &&value() && { return checked(), std::move(*std::get_if<0>(&content_)); }

    /** The error; std::bad_variant_access where there is none. */
    const mtlspop::error &error() const & { return std::get<1>(content_); }

    /** Without a check, as std::optional has them. */
    T &operator*() & { return *std::get_if<0>(&content_); }
    const T &operator*() const & { return *std::get_if<0>(&content_); }
    T *operator->() { return std::get_if<0>(&content_); }
    const T *operator->() const { return std::get_if<0>(&content_); }

private:
    void checked() const
    {
        if (!has_value()) error().raise();
    }

    std::variant<T, mtlspop::error> content_;
};

template <> class [[nodiscard]] result<void> {
public:
    result() = default;
    result(mtlspop::error failure) : error_(std::move(failure)) {}

    bool has_value() const noexcept { return !error_; }
    explicit operator bool() const noexcept { return has_value(); }
    void value() const
    {
        if (error_) error_->raise();
    }
    /** The error; std::bad_optional_access where there is none. */
    const mtlspop::error &error() const & { return error_.value(); }

private:
    std::optional<mtlspop::error> error_;
};

/* ==== Version ================================================================================ */

/** The version of the library that was loaded. */
inline std::string_view version() { return mtlspop_version(); }

namespace detail {

/** Whether a library with this ABI has what the header says: major equal, minor at least. */
constexpr bool abi_fits(std::int32_t library, std::int32_t header)
{
    return library / 65536 == header / 65536 && library % 65536 >= header % 65536;
}

inline std::string abi_text(std::int32_t abi)
{
    return std::to_string(abi / 65536) + "." + std::to_string(abi % 65536);
}

} // namespace detail

/** The audience of federated credentials in the cloud of an authority, or of its host; none where it is not known. */
inline std::optional<std::string_view> federated_credential_audience(const text &authority) noexcept
{
    return detail::maybe(mtlspop_federated_credential_audience(authority.c_str()));
}

/** Does the library that was loaded fit this header? If not: status::not_supported and the code abi_mismatch. */
inline result<void> try_check_abi()
{
    const std::int32_t library = mtlspop_abi_version();
    if (detail::abi_fits(library, MTLSPOP_ABI_VERSION)) return {};
    return error(status::not_supported, "abi_mismatch",
                 "the program was compiled for ABI " + detail::abi_text(MTLSPOP_ABI_VERSION) +
                     " of libmtlspop, and the one that was loaded (" + std::string(version()) + ") has " +
                     detail::abi_text(library) + ": install a libmtlspop that fits, or compile again");
}

/** The same, thrown. Everything that is made here asks it once. */
inline void check_abi()
{
    static const bool checked = (try_check_abi().value(), true);
    static_cast<void>(checked);
}

/* ==== Plumbing: calls, and callbacks inside them ============================================= */

namespace detail {

/** One call of C on this thread, for what a callback throws in it. Calls nest: a callback may make one. */
class call_scope {
public:
    call_scope() noexcept : outer_(innermost) { innermost = this; }
    ~call_scope() { innermost = outer_; }
    call_scope(const call_scope &) = delete;
    call_scope &operator=(const call_scope &) = delete;

    /** Keeps the exception that is being handled; on a background thread there is no call that asked. */
    static void keep() noexcept
    {
        if (innermost) innermost->thrown_ = std::current_exception();
    }

    /** What was thrown, if that is why the call failed: a signer is asked twice, and may have answered then. */
    std::exception_ptr why(mtlspop_status value) noexcept
    {
        return value == MTLSPOP_E_CALLBACK ? std::move(thrown_) : nullptr;
    }

private:
    inline static thread_local call_scope *innermost = nullptr;

    call_scope *outer_;
    std::exception_ptr thrown_;
};

/** Calls function(&out, &error), and makes a T of what comes out. */
template <class T, class F> result<T> call(F function)
{
    if (const auto fits = try_check_abi(); !fits) return fits.error();
    call_scope scope;
    typename T::handle_type *out = nullptr;
    mtlspop_error *failure = nullptr;
    const mtlspop_status value = function(&out, &failure);
    if (value != MTLSPOP_OK) return error(value, failure, scope.why(value));
    return T(out);
}

/** Runs what a callback does; an exception becomes its failure, and is kept for the call that asked. */
template <class Op, class F> std::int32_t answered(Op *op, void (*set_error)(Op *, const char *), F run) noexcept
{
    try {
        run();
        return 0;
    } catch (const std::exception &thrown) {
        call_scope::keep();
        set_error(op, thrown.what());
    } catch (...) {
        call_scope::keep();
        set_error(op, "it threw something that is no std::exception");
    }
    return 1;
}

/** Runs what only listens. */
template <class F> void listened(F run) noexcept
{
    try {
        run();
    } catch (...) {
        /* There is nobody to tell: the call does not depend on it. */
    }
}

/** A copy of a callable as userdata, and what gives it back. */
template <class F> void *keep(F &&function) { return new std::decay_t<F>(std::forward<F>(function)); }
template <class F> void forget(void *userdata) { delete static_cast<std::decay_t<F> *>(userdata); }
template <class F> std::decay_t<F> &callable(void *userdata) { return *static_cast<std::decay_t<F> *>(userdata); }

} // namespace detail

/* ==== Buffer and certificate ================================================================= */

/** Exported bytes, which may hold a private key; wiped when freed. */
class buffer : public detail::owner<mtlspop_buffer, mtlspop_buffer_free> {
public:
    using owner::owner;

    bytes_view bytes() const noexcept { return detail::bytes<mtlspop_buffer>(mtlspop_buffer_data, get()); }
    std::string_view text() const noexcept { return bytes().text(); }
    const std::uint8_t *data() const noexcept { return bytes().data(); }
    std::size_t size() const noexcept { return bytes().size(); }
};

class tpm_options;

/** One signature that is asked for; valid during the callback only. */
class sign_op {
public:
    explicit sign_op(const mtlspop_sign_op *op) noexcept : op_(op) {}

    std::string_view algorithm() const noexcept { return detail::view(mtlspop_sign_op_algorithm(op_)); }
    bytes_view message() const noexcept { return detail::bytes(mtlspop_sign_op_message, op_); }
    bytes_view digest() const noexcept { return detail::bytes(mtlspop_sign_op_digest, op_); }

private:
    const mtlspop_sign_op *op_;
};

namespace detail {

/** Calls f(const sign_op &), which returns the signature: any container of bytes. */
template <class F> std::int32_t sign(void *userdata, mtlspop_sign_op *op)
{
    return answered(op, mtlspop_sign_op_set_error, [&] {
        const auto answer = callable<F>(userdata)(sign_op(op));
        const bytes_view signature(answer);
        mtlspop_sign_op_set_signature(op, signature.data(), signature.size());
    });
}

} // namespace detail

/** A certificate with its chain and private key; immutable. Copies share it, and the last one frees it. */
class certificate {
public:
    using handle_type = mtlspop_certificate;

    /** Takes a handle of C over. */
    explicit certificate(mtlspop_certificate *handle) : handle_(handle, mtlspop_certificate_free) {}

    /** The handle, for functions of C; it stays this object's and that of its copies. */
    mtlspop_certificate *get() const noexcept { return handle_.get(); }

    /** Whether it has a handle: not after it was moved from. */
    explicit operator bool() const noexcept { return handle_ != nullptr; }

    static result<certificate> try_from_file(const text &path, const text &key_path = nullptr,
                                             const text &password = nullptr)
    {
        return detail::call<certificate>([&](auto out, auto failure) {
            return mtlspop_certificate_new_from_file(path.c_str(), key_path.c_str(), password.c_str(), out, failure);
        });
    }
    static certificate from_file(const text &path, const text &key_path = nullptr, const text &password = nullptr)
    {
        return try_from_file(path, key_path, password).value();
    }

    static result<certificate> try_from_pem(bytes_view pem, bytes_view key_pem = {}, const text &password = nullptr)
    {
        return detail::call<certificate>([&](auto out, auto failure) {
            return mtlspop_certificate_new_from_pem(pem.data(), pem.size(), key_pem.data(), key_pem.size(),
                                                    password.c_str(), out, failure);
        });
    }
    static certificate from_pem(bytes_view pem, bytes_view key_pem = {}, const text &password = nullptr)
    {
        return try_from_pem(pem, key_pem, password).value();
    }

    static result<certificate> try_from_pkcs12(bytes_view pfx, const text &password = nullptr)
    {
        return detail::call<certificate>([&](auto out, auto failure) {
            return mtlspop_certificate_new_from_pkcs12(pfx.data(), pfx.size(), password.c_str(), out, failure);
        });
    }
    static certificate from_pkcs12(bytes_view pfx, const text &password = nullptr)
    {
        return try_from_pkcs12(pfx, password).value();
    }

    /** signer(const sign_op &) returns the signature, any container of bytes. */
    template <class F> static result<certificate> try_with_signer(bytes_view data, F &&signer)
    {
        return detail::call<certificate>([&](auto out, auto failure) {
            return mtlspop_certificate_new_with_signer(data.data(), data.size(), detail::sign<F>,
                                                       detail::keep(std::forward<F>(signer)), detail::forget<F>, out,
                                                       failure);
        });
    }
    template <class F> static certificate with_signer(bytes_view data, F &&signer)
    {
        return try_with_signer(data, std::forward<F>(signer)).value();
    }

    static result<certificate> try_with_tpm_key(bytes_view data, bytes_view key, const tpm_options &tpm);
    static certificate with_tpm_key(bytes_view data, bytes_view key, const tpm_options &tpm)
    {
        return try_with_tpm_key(data, key, tpm).value();
    }

    bytes_view der() const noexcept { return detail::bytes<mtlspop_certificate>(mtlspop_certificate_der, get()); }
    std::size_t chain_count() const noexcept { return mtlspop_certificate_chain_count(get()); }
    bytes_view chain_der(std::size_t index) const noexcept
    {
        std::size_t size = 0;
        const std::uint8_t *data = mtlspop_certificate_chain_der(get(), index, &size);
        return {data, size};
    }
    std::string_view pem() const noexcept { return detail::view(mtlspop_certificate_pem(get())); }
    std::string_view chain_pem() const noexcept { return detail::view(mtlspop_certificate_chain_pem(get())); }
    std::string_view sha1_thumbprint() const noexcept
    {
        return detail::view(mtlspop_certificate_sha1_thumbprint(get()));
    }
    std::string_view sha256_thumbprint() const noexcept
    {
        return detail::view(mtlspop_certificate_sha256_thumbprint(get()));
    }
    std::string_view x5t_s256() const noexcept { return detail::view(mtlspop_certificate_x5t_s256(get())); }
    std::string_view subject() const noexcept { return detail::view(mtlspop_certificate_subject(get())); }
    time_point not_before() const { return detail::at(mtlspop_certificate_not_before(get())); }
    time_point not_after() const { return detail::at(mtlspop_certificate_not_after(get())); }
    bool is_exportable() const noexcept { return mtlspop_certificate_is_exportable(get()) == 1; }

    result<buffer> try_sign(const text &algorithm, bytes_view message) const
    {
        return detail::call<buffer>([&](auto out, auto failure) {
            return mtlspop_certificate_sign(get(), algorithm.c_str(), message.data(), message.size(), out, failure);
        });
    }
    buffer sign(const text &algorithm, bytes_view message) const { return try_sign(algorithm, message).value(); }

    result<buffer> try_export_private_key_pem() const
    {
        return detail::call<buffer>([&](auto out, auto failure) {
            return mtlspop_certificate_export_private_key_pem(get(), out, failure);
        });
    }
    buffer export_private_key_pem() const { return try_export_private_key_pem().value(); }

    result<buffer> try_export_pkcs12(const text &password, pkcs12_format format = pkcs12_format::modern) const
    {
        return detail::call<buffer>([&](auto out, auto failure) {
            return mtlspop_certificate_export_pkcs12(get(), password.c_str(), static_cast<std::int32_t>(format), out,
                                                     failure);
        });
    }
    buffer export_pkcs12(const text &password, pkcs12_format format = pkcs12_format::modern) const
    {
        return try_export_pkcs12(password, format).value();
    }

    result<buffer> try_export_tpm_key_pem() const
    {
        return detail::call<buffer>([&](auto out, auto failure) {
            return mtlspop_certificate_export_tpm_key_pem(get(), out, failure);
        });
    }
    buffer export_tpm_key_pem() const { return try_export_tpm_key_pem().value(); }

private:
    std::shared_ptr<mtlspop_certificate> handle_;
};

/* ==== What callbacks are asked, and answer =================================================== */

/** What an assertion callback returns: a compact JWT, and for a bound token the certificate it is bound to. */
struct client_signed_assertion {
    client_signed_assertion(std::string jwt, std::optional<certificate> bound_to = std::nullopt)
        : assertion(std::move(jwt)), token_binding_certificate(std::move(bound_to))
    {
    }

    /** The same of borrowed text: {token.access_token(), token.binding_certificate()}. */
    template <class T, std::enable_if_t<std::is_same_v<T, std::string_view>, int> = 0>
    client_signed_assertion(T jwt, std::optional<certificate> bound_to = std::nullopt)
        : client_signed_assertion(std::string(jwt), std::move(bound_to))
    {
    }

    std::string assertion;
    std::optional<certificate> token_binding_certificate;
};

/** One question to an assertion callback or certificate provider; valid during the callback only. */
class assertion_op {
public:
    explicit assertion_op(const mtlspop_assertion_op *op) noexcept : op_(op) {}

    std::string_view client_id() const noexcept { return detail::view(mtlspop_assertion_op_client_id(op_)); }
    std::optional<std::string_view> tenant_id() const noexcept
    {
        return detail::maybe(mtlspop_assertion_op_tenant_id(op_));
    }
    std::string_view authority() const noexcept { return detail::view(mtlspop_assertion_op_authority(op_)); }
    std::string_view token_endpoint() const noexcept { return detail::view(mtlspop_assertion_op_token_endpoint(op_)); }
    std::string_view token_type() const noexcept { return detail::view(mtlspop_assertion_op_token_type(op_)); }
    std::optional<std::string_view> claims() const noexcept { return detail::maybe(mtlspop_assertion_op_claims(op_)); }
    std::optional<std::string_view> client_capabilities() const noexcept
    {
        return detail::maybe(mtlspop_assertion_op_client_capabilities(op_));
    }
    std::optional<std::string_view> fmi_path() const noexcept
    {
        return detail::maybe(mtlspop_assertion_op_fmi_path(op_));
    }
    std::string_view correlation_id() const noexcept { return detail::view(mtlspop_assertion_op_correlation_id(op_)); }
    std::optional<std::chrono::milliseconds> remaining() const
    {
        return detail::limit(mtlspop_assertion_op_remaining_ms(op_));
    }
    bool is_cancelled() const noexcept { return mtlspop_assertion_op_is_cancelled(op_) == 1; }

private:
    const mtlspop_assertion_op *op_;
};

/** One key that is to be attested; valid during the callback only. */
class attestation_op {
public:
    explicit attestation_op(const mtlspop_attestation_op *op) noexcept : op_(op) {}

    std::string_view endpoint() const noexcept { return detail::view(mtlspop_attestation_op_endpoint(op_)); }
    std::string_view client_id() const noexcept { return detail::view(mtlspop_attestation_op_client_id(op_)); }
    bytes_view public_key() const noexcept { return detail::bytes(mtlspop_attestation_op_public_key, op_); }
    result<buffer> try_sign(const text &algorithm, bytes_view message) const
    {
        return detail::call<buffer>([&](auto out, auto failure) {
            return mtlspop_attestation_op_sign(op_, algorithm.c_str(), message.data(), message.size(), out, failure);
        });
    }
    buffer sign(const text &algorithm, bytes_view message) const { return try_sign(algorithm, message).value(); }
    std::string_view correlation_id() const noexcept
    {
        return detail::view(mtlspop_attestation_op_correlation_id(op_));
    }
    std::optional<std::chrono::milliseconds> remaining() const
    {
        return detail::limit(mtlspop_attestation_op_remaining_ms(op_));
    }
    bool is_cancelled() const noexcept { return mtlspop_attestation_op_is_cancelled(op_) == 1; }

private:
    const mtlspop_attestation_op *op_;
};

/** One question to a store; valid during the callback only. */
class store_op {
public:
    explicit store_op(mtlspop_store_op *op) noexcept : op_(op) {}

    store_kind kind() const noexcept { return static_cast<store_kind>(mtlspop_store_op_kind(op_)); }
    std::string_view partition_key() const noexcept { return detail::view(mtlspop_store_op_partition_key(op_)); }
    bytes_view data() const noexcept { return detail::bytes<mtlspop_store_op>(mtlspop_store_op_data, op_); }
    time_point expires_on() const { return detail::at(mtlspop_store_op_expires_on(op_)); }

    /** Answers a load. Without it there is nothing. */
    void set_data(bytes_view data) noexcept { mtlspop_store_op_set_data(op_, data.data(), data.size()); }

private:
    mtlspop_store_op *op_;
};

/** One question to a body callback; valid during the callback only. */
class body_op {
public:
    explicit body_op(mtlspop_body_op *op) noexcept : op_(op) {}

    body_kind kind() const noexcept { return static_cast<body_kind>(mtlspop_body_op_kind(op_)); }
    /** The place for the next bytes; of no bytes when asked to rewind. */
    bytes_span buffer() noexcept
    {
        std::size_t size = 0;
        std::uint8_t *data = mtlspop_body_op_buffer(op_, &size);
        return {data, size};
    }

    /** Says how many bytes are in buffer(). Without it, and with 0, the body ends. */
    void set_length(std::size_t length) noexcept { mtlspop_body_op_set_length(op_, length); }

private:
    mtlspop_body_op *op_;
};

/** One measurement; valid during the callback only. */
class metric {
public:
    explicit metric(const mtlspop_metric *op) noexcept : metric_(op) {}

    std::string_view name() const noexcept { return detail::view(mtlspop_metric_name(metric_)); }
    metric_kind kind() const noexcept { return static_cast<metric_kind>(mtlspop_metric_kind(metric_)); }
    std::string_view unit() const noexcept { return detail::view(mtlspop_metric_unit(metric_)); }
    std::int64_t value() const noexcept { return mtlspop_metric_value(metric_); }
    std::size_t tag_count() const noexcept { return mtlspop_metric_tag_count(metric_); }
    std::string_view tag_name(std::size_t index) const noexcept
    {
        return detail::view(mtlspop_metric_tag_name(metric_, index));
    }
    std::string_view tag_value(std::size_t index) const noexcept
    {
        return detail::view(mtlspop_metric_tag_value(metric_, index));
    }

private:
    const mtlspop_metric *metric_;
};

namespace detail {

template <class F> std::int32_t assertion(void *userdata, mtlspop_assertion_op *op)
{
    return answered(op, mtlspop_assertion_op_set_error, [&] {
        client_signed_assertion answer(callable<F>(userdata)(assertion_op(op)));
        mtlspop_assertion_op_set_assertion(op, text(answer.assertion).c_str());
        if (answer.token_binding_certificate) {
            mtlspop_assertion_op_set_certificate(op, answer.token_binding_certificate->get());
        }
        text::wipe(answer.assertion);
    });
}

template <class F> std::int32_t certificate_provider(void *userdata, mtlspop_assertion_op *op)
{
    return answered(op, mtlspop_assertion_op_set_error, [&] {
        const std::optional<certificate> answer(callable<F>(userdata)(assertion_op(op)));
        if (answer) mtlspop_assertion_op_set_certificate(op, answer->get());
    });
}

template <class F> std::int32_t attestation(void *userdata, mtlspop_attestation_op *op)
{
    return answered(op, mtlspop_attestation_op_set_error, [&] {
        const std::string answer(callable<F>(userdata)(attestation_op(op)));
        mtlspop_attestation_op_set_token(op, text(answer).c_str());
    });
}

template <class F> std::int32_t secret(void *userdata, mtlspop_secret_op *op)
{
    return answered(op, mtlspop_secret_op_set_error, [&] {
        auto answer = callable<F>(userdata)();
        const bytes_view value(answer);
        mtlspop_secret_op_set_secret(op, value.data(), value.size());
        /* A container that was returned is ours, a view is not. */
        if constexpr (std::is_same_v<decltype(answer), std::string> ||
                      std::is_same_v<decltype(answer), std::vector<std::uint8_t>>) {
            text::wipe(answer);
        }
    });
}

template <class F> std::int32_t store(void *userdata, mtlspop_store_op *op)
{
    /* The call goes on without the store, whatever it throws: that is not to be taken for why it failed. */
    call_scope aside;
    return answered(op, mtlspop_store_op_set_error, [&] {
        store_op question(op);
        callable<F>(userdata)(question);
    });
}

template <class F> std::int32_t body(void *userdata, mtlspop_body_op *op)
{
    return answered(op, mtlspop_body_op_set_error, [&] {
        body_op question(op);
        callable<F>(userdata)(question);
    });
}

template <class F>
void log(void *userdata, std::int32_t level, const char *target, const char *message)
{
    listened([&] { callable<F>(userdata)(static_cast<log_level>(level), view(target), view(message)); });
}

template <class F> void refreshed(void *userdata, mtlspop_token *made, mtlspop_error *failure);

template <class F> void metrics(void *userdata, const mtlspop_metric *measured)
{
    listened([&] { callable<F>(userdata)(metric(measured)); });
}

} // namespace detail

/* ==== Options ================================================================================ */

/** A token cache that apps can be given. The with_ members come before that: they make it another, empty one. */
class token_cache : public detail::owner<mtlspop_token_cache, mtlspop_token_cache_free> {
public:
    using owner::owner;
    token_cache() : owner((check_abi(), detail::made(mtlspop_token_cache_new()))) {}

    token_cache &with_max_entries(std::size_t entries)
    {
        return mtlspop_token_cache_set_max_entries(get(), entries), *this;
    }
    token_cache &with_max_bytes(std::size_t bytes) { return mtlspop_token_cache_set_max_bytes(get(), bytes), *this; }

    /** callback(store_op &) saves data(), or loads and answers with set_data(). */
    template <class F> token_cache &with_store(F &&callback)
    {
        mtlspop_token_cache_set_store(get(), detail::store<F>, detail::keep(std::forward<F>(callback)),
                                      detail::forget<F>);
        return *this;
    }

    std::int64_t hits() const noexcept { return mtlspop_token_cache_hits(get()); }
    std::int64_t misses() const noexcept { return mtlspop_token_cache_misses(get()); }
    std::int64_t evictions() const noexcept { return mtlspop_token_cache_evictions(get()); }
    std::int64_t entries() const noexcept { return mtlspop_token_cache_entries(get()); }
    std::int64_t bytes() const noexcept { return mtlspop_token_cache_bytes(get()); }
};

/** A TPM 2.0 that holds keys: this host's, unless a member says another. */
class tpm_options : public detail::owner<mtlspop_tpm_options, mtlspop_tpm_options_free> {
public:
    using owner::owner;
    tpm_options() : owner((check_abi(), detail::made(mtlspop_tpm_options_new()))) {}

    tpm_options &with_plugin(const text &path) { return mtlspop_tpm_options_set_plugin(get(), path.c_str()), *this; }
    tpm_options &with_tcti(const text &tcti) { return mtlspop_tpm_options_set_tcti(get(), tcti.c_str()), *this; }
    tpm_options &with_auth(bytes_view auth)
    {
        return mtlspop_tpm_options_set_auth(get(), auth.data(), auth.size()), *this;
    }

    /** callback() returns the value, any container of bytes; std::string and std::vector are wiped. */
    template <class F> tpm_options &with_auth_callback(F &&callback)
    {
        mtlspop_tpm_options_set_auth_callback(get(), detail::secret<F>, detail::keep(std::forward<F>(callback)),
                                              detail::forget<F>);
        return *this;
    }

    tpm_options &with_owner_auth(bytes_view auth)
    {
        return mtlspop_tpm_options_set_owner_auth(get(), auth.data(), auth.size()), *this;
    }
    tpm_options &with_persistent_handle(std::int64_t handle)
    {
        return mtlspop_tpm_options_set_persistent_handle(get(), handle), *this;
    }
    tpm_options &with_attestation(bytes_view pcrs)
    {
        return mtlspop_tpm_options_set_attestation(get(), pcrs.data(), pcrs.size()), *this;
    }
};

inline result<certificate> certificate::try_with_tpm_key(bytes_view data, bytes_view key, const tpm_options &tpm)
{
    return detail::call<certificate>([&](auto out, auto failure) {
        return mtlspop_certificate_new_with_tpm_key(data.data(), data.size(), key.data(), key.size(), tpm.get(), out,
                                                    failure);
    });
}

/** Settings of an app: managed_identity() or confidential_client(). */
class app_options : public detail::owner<mtlspop_app_options, mtlspop_app_options_free> {
public:
    using owner::owner;

    static app_options managed_identity()
    {
        return check_abi(), app_options(detail::made(mtlspop_app_options_new_managed_identity()));
    }
    static app_options confidential_client(const text &client_id)
    {
        return check_abi(), app_options(detail::made(mtlspop_app_options_new_confidential_client(client_id.c_str())));
    }

    /* Of both kinds. */

    app_options &with_client_capabilities(const text &capabilities)
    {
        return mtlspop_app_options_set_client_capabilities(get(), capabilities.c_str()), *this;
    }
    app_options &with_extra_query_parameter(const text &name, const text &value, bool in_cache_key)
    {
        return mtlspop_app_options_set_extra_query_parameter(get(), name.c_str(), value.c_str(), in_cache_key), *this;
    }
    app_options &with_background_refresh(bool on)
    {
        return mtlspop_app_options_set_background_refresh(get(), on), *this;
    }
    app_options &with_connect_timeout(std::chrono::milliseconds timeout)
    {
        return mtlspop_app_options_set_connect_timeout_ms(get(), timeout.count()), *this;
    }
    app_options &with_proxy(const text &proxy) { return mtlspop_app_options_set_proxy(get(), proxy.c_str()), *this; }
    /** A host that may ask for the certificate of a bound token in a TLS renegotiation; once for each. */
    app_options &add_renegotiating_host(const text &host)
    {
        return mtlspop_app_options_add_renegotiating_host(get(), host.c_str()), *this;
    }
    app_options &with_trusted_roots_file(const text &path)
    {
        return mtlspop_app_options_set_trusted_roots_file(get(), path.c_str()), *this;
    }
    app_options &with_trusted_roots_pem(bytes_view pem)
    {
        return mtlspop_app_options_set_trusted_roots_pem(get(), pem.data(), pem.size()), *this;
    }

    /** callback(log_level, std::string_view target, std::string_view message) */
    template <class F> app_options &with_log(log_level level, F &&callback)
    {
        mtlspop_app_options_set_log(get(), static_cast<std::int32_t>(level), detail::log<F>,
                                    detail::keep(std::forward<F>(callback)), detail::forget<F>);
        return *this;
    }

    /** callback(result<token>): how each background refresh ended; on the thread that it has. It may use the app. */
    template <class F> app_options &with_background_refresh_callback(F &&callback)
    {
        mtlspop_app_options_set_background_refresh_callback(get(), detail::refreshed<F>,
                                                            detail::keep(std::forward<F>(callback)),
                                                            detail::forget<F>);
        return *this;
    }

    /** callback(const metric &) */
    template <class F> app_options &with_metrics(F &&callback)
    {
        mtlspop_app_options_set_metrics(get(), detail::metrics<F>, detail::keep(std::forward<F>(callback)),
                                        detail::forget<F>);
        return *this;
    }

    /* Of managed identities. */

    app_options &with_user_assigned_client_id(const text &id)
    {
        return mtlspop_app_options_set_user_assigned_client_id(get(), id.c_str()), *this;
    }
    app_options &with_user_assigned_object_id(const text &id)
    {
        return mtlspop_app_options_set_user_assigned_object_id(get(), id.c_str()), *this;
    }
    app_options &with_user_assigned_resource_id(const text &id)
    {
        return mtlspop_app_options_set_user_assigned_resource_id(get(), id.c_str()), *this;
    }
    app_options &with_probe_timeout(std::chrono::milliseconds timeout)
    {
        return mtlspop_app_options_set_probe_timeout_ms(get(), timeout.count()), *this;
    }

    /** callback(const attestation_op &) returns the attestation service's token. */
    template <class F> app_options &with_attestation(F &&callback)
    {
        mtlspop_app_options_set_attestation(get(), detail::attestation<F>, detail::keep(std::forward<F>(callback)),
                                            detail::forget<F>);
        return *this;
    }

    /** signer(const sign_op &) returns the signature, any container of bytes. */
    template <class F> app_options &with_key_signer(bytes_view public_key, F &&signer)
    {
        mtlspop_app_options_set_key_signer(get(), public_key.data(), public_key.size(), detail::sign<F>,
                                           detail::keep(std::forward<F>(signer)), detail::forget<F>);
        return *this;
    }

    app_options &with_tpm(const tpm_options &tpm) { return mtlspop_app_options_set_tpm(get(), tpm.get()), *this; }
    app_options &with_min_strength(binding_strength strength)
    {
        return mtlspop_app_options_set_min_strength(get(), static_cast<std::int32_t>(strength)), *this;
    }
    app_options &with_binding_store(const text &directory, bytes_view secret)
    {
        return mtlspop_app_options_set_binding_store(get(), directory.c_str(), secret.data(), secret.size()), *this;
    }

    /** callback() returns the secret, any container of bytes; std::string and std::vector are wiped. */
    template <class F> app_options &with_binding_store_with_callback(const text &directory, F &&callback)
    {
        mtlspop_app_options_set_binding_store_with_callback(get(), directory.c_str(), detail::secret<F>,
                                                            detail::keep(std::forward<F>(callback)),
                                                            detail::forget<F>);
        return *this;
    }

    app_options &with_unencrypted_binding_store(const text &directory)
    {
        return mtlspop_app_options_set_unencrypted_binding_store(get(), directory.c_str()), *this;
    }

    /* Of confidential clients. */

    app_options &with_authority(const text &authority)
    {
        return mtlspop_app_options_set_authority(get(), authority.c_str()), *this;
    }
    app_options &with_oidc_authority(const text &authority)
    {
        return mtlspop_app_options_set_oidc_authority(get(), authority.c_str()), *this;
    }
    app_options &with_instance_discovery(bool on)
    {
        return mtlspop_app_options_set_instance_discovery(get(), on), *this;
    }
    app_options &with_azure_region(const text &region)
    {
        return mtlspop_app_options_set_azure_region(get(), region.c_str()), *this;
    }
    app_options &with_token_cache(const token_cache &cache)
    {
        return mtlspop_app_options_set_token_cache(get(), cache.get()), *this;
    }
    app_options &with_certificate(const certificate &credential, bool send_x5c = false)
    {
        return mtlspop_app_options_set_certificate(get(), credential.get(), send_x5c), *this;
    }

    /** provider(const assertion_op &) returns a certificate, also one that lives on; without one the call fails. */
    template <class F> app_options &with_certificate_provider(F &&provider, bool send_x5c = false)
    {
        mtlspop_app_options_set_certificate_provider(get(), detail::certificate_provider<F>,
                                                     detail::keep(std::forward<F>(provider)), detail::forget<F>,
                                                     send_x5c);
        return *this;
    }

    app_options &with_send_certificate_over_mtls(bool on)
    {
        return mtlspop_app_options_set_send_certificate_over_mtls(get(), on), *this;
    }
    app_options &with_client_secret(const text &secret)
    {
        return mtlspop_app_options_set_client_secret(get(), secret.c_str()), *this;
    }

    /** callback(const assertion_op &) returns a client_signed_assertion, or text for one that is not bound. */
    template <class F> app_options &with_client_assertion(F &&callback)
    {
        mtlspop_app_options_set_client_assertion(get(), detail::assertion<F>,
                                                 detail::keep(std::forward<F>(callback)), detail::forget<F>);
        return *this;
    }

    /** Without a path the file that AZURE_FEDERATED_TOKEN_FILE names. */
    app_options &with_federated_token_file(const text &path = nullptr)
    {
        return mtlspop_app_options_set_federated_token_file(get(), path.c_str()), *this;
    }

    /** By the token proxy of the cluster, where AZURE_KUBERNETES_TOKEN_PROXY names one. */
    app_options &with_enable_azure_proxy(bool on = true)
    {
        return mtlspop_app_options_set_enable_azure_proxy(get(), on), *this;
    }
};

/* ==== Requests =============================================================================== */

/** A flag that stops calls from another thread. */
class cancel : public detail::owner<mtlspop_cancel, mtlspop_cancel_free> {
public:
    using owner::owner;
    cancel() : owner((check_abi(), detail::made(mtlspop_cancel_new()))) {}

    void raise() const noexcept { mtlspop_cancel_raise(get()); }
};

/** A request for a token. Reuse it: that makes cached answers faster. */
class token_request : public detail::owner<mtlspop_token_request, mtlspop_token_request_free> {
public:
    using owner::owner;
    explicit token_request(const text &scopes_or_resource)
        : owner((check_abi(), detail::made(mtlspop_token_request_new(scopes_or_resource.c_str()))))
    {
    }

    token_request &with_mtls_proof_of_possession(bool on = true)
    {
        return mtlspop_token_request_set_mtls_proof_of_possession(get(), on), *this;
    }
    /** Bearer over mTLS, for managed identities. */
    token_request &with_request_over_mtls(bool on = true)
    {
        return mtlspop_token_request_set_request_over_mtls(get(), on), *this;
    }
    token_request &with_min_strength(binding_strength strength)
    {
        return mtlspop_token_request_set_min_strength(get(), static_cast<std::int32_t>(strength)), *this;
    }
    token_request &with_force_refresh(bool on = true)
    {
        return mtlspop_token_request_set_force_refresh(get(), on), *this;
    }
    token_request &with_claims(const text &claims)
    {
        return mtlspop_token_request_set_claims(get(), claims.c_str()), *this;
    }
    token_request &with_access_token_hash_to_refresh(const text &sha256)
    {
        return mtlspop_token_request_set_access_token_hash_to_refresh(get(), sha256.c_str()), *this;
    }
    token_request &with_correlation_id(const text &id)
    {
        return mtlspop_token_request_set_correlation_id(get(), id.c_str()), *this;
    }
    token_request &with_tenant_id(const text &id)
    {
        return mtlspop_token_request_set_tenant_id(get(), id.c_str()), *this;
    }
    token_request &with_authority(const text &authority)
    {
        return mtlspop_token_request_set_authority(get(), authority.c_str()), *this;
    }
    token_request &with_send_x5c(bool on) { return mtlspop_token_request_set_send_x5c(get(), on), *this; }
    token_request &with_fmi_path(const text &path)
    {
        return mtlspop_token_request_set_fmi_path(get(), path.c_str()), *this;
    }
    token_request &with_client_assertion_fmi_path(const text &path)
    {
        return mtlspop_token_request_set_client_assertion_fmi_path(get(), path.c_str()), *this;
    }
    token_request &with_claims_from_client(const text &claims)
    {
        return mtlspop_token_request_set_claims_from_client(get(), claims.c_str()), *this;
    }
    token_request &with_extra_client_assertion_claims(const text &claims)
    {
        return mtlspop_token_request_set_extra_client_assertion_claims(get(), claims.c_str()), *this;
    }
    token_request &with_extra_query_parameter(const text &name, const text &value, bool in_cache_key)
    {
        mtlspop_token_request_set_extra_query_parameter(get(), name.c_str(), value.c_str(), in_cache_key);
        return *this;
    }
    token_request &with_extra_body_parameter(const text &name, const text &value)
    {
        return mtlspop_token_request_set_extra_body_parameter(get(), name.c_str(), value.c_str()), *this;
    }
    token_request &with_extra_http_header(const text &name, const text &value)
    {
        return mtlspop_token_request_set_extra_http_header(get(), name.c_str(), value.c_str()), *this;
    }
    token_request &with_cache_partition_key(const text &name, const text &value)
    {
        return mtlspop_token_request_set_cache_partition_key(get(), name.c_str(), value.c_str()), *this;
    }
    token_request &with_timeout(std::chrono::milliseconds timeout)
    {
        return mtlspop_token_request_set_timeout_ms(get(), timeout.count()), *this;
    }
    token_request &with_cancel(const cancel &flag)
    {
        return mtlspop_token_request_set_cancel(get(), flag.get()), *this;
    }
};

/** A request to an API. */
class http_request : public detail::owner<mtlspop_http_request, mtlspop_http_request_free> {
public:
    using owner::owner;
    http_request(const text &method, const text &url)
        : owner((check_abi(), detail::made(mtlspop_http_request_new(method.c_str(), url.c_str()))))
    {
    }

    http_request &add_header(const text &name, const text &value)
    {
        return mtlspop_http_request_add_header(get(), name.c_str(), value.c_str()), *this;
    }
    http_request &with_body(const text &content_type, bytes_view body)
    {
        return mtlspop_http_request_set_body(get(), content_type.c_str(), body.data(), body.size()), *this;
    }
    /** callback(body_op &) gives the body while it is sent; length is -1 where it is not known. */
    template <class F>
    http_request &with_body_callback(const text &content_type, std::int64_t length, bool can_rewind, F &&callback)
    {
        mtlspop_http_request_set_body_callback(get(), content_type.c_str(), length, can_rewind, detail::body<F>,
                                               detail::keep(std::forward<F>(callback)), detail::forget<F>);
        return *this;
    }
    /** read(bytes_span) puts the next bytes of the body there and returns their number, 0 at the end. Sent once. */
    template <class Read> http_request &with_body_reader(const text &content_type, std::int64_t length, Read &&read)
    {
        return with_body_callback(content_type, length, false,
                                  [read = std::forward<Read>(read)](body_op &op) mutable {
                                      op.set_length(read(op.buffer()));
                                  });
    }
    /** The same, and rewind() goes back to the first byte: it can be sent again. */
    template <class Read, class Rewind>
    http_request &with_body_reader(const text &content_type, std::int64_t length, Read &&read, Rewind &&rewind)
    {
        return with_body_callback(
            content_type, length, true,
            [read = std::forward<Read>(read), rewind = std::forward<Rewind>(rewind)](body_op &op) mutable {
                if (op.kind() == body_kind::rewind) {
                    rewind();
                } else {
                    op.set_length(read(op.buffer()));
                }
            });
    }
    /** A std::istream from where it stands to its end, binary; it must live as long as this request. One that can seek
        is sent with its length, and can be sent again; another in chunks, once. */
    template <class Stream> http_request &with_body_stream(const text &content_type, Stream &stream)
    {
        auto read = [&stream](bytes_span place) {
            using size = decltype(stream.gcount());
            stream.read(reinterpret_cast<char *>(place.data()), static_cast<size>(place.size()));
            // One that was never open has failed without an end.
            if (stream.bad() || (stream.fail() && !stream.eof())) {
                throw error(status::callback, "body_stream_failed", "the stream cannot be read");
            }
            return static_cast<std::size_t>(stream.gcount());
        };
        const auto start = stream.tellg();
        if (start == typename Stream::pos_type(-1)) return with_body_reader(content_type, -1, std::move(read));
        const auto end = stream.seekg(0, Stream::end).tellg();
        stream.clear();
        stream.seekg(start);
        if (end == typename Stream::pos_type(-1)) return with_body_reader(content_type, -1, std::move(read));
        const std::int64_t length = end - start;
        return with_body_reader(content_type, length, std::move(read), [&stream, start] {
            stream.clear();
            stream.seekg(start);
        });
    }
    /** length is -1 for all that is there. */
    http_request &with_body_fd(const text &content_type, int fd, std::int64_t length = -1)
    {
        return mtlspop_http_request_set_body_fd(get(), content_type.c_str(), fd, length), *this;
    }
    http_request &with_timeout(std::chrono::milliseconds timeout)
    {
        return mtlspop_http_request_set_timeout_ms(get(), timeout.count()), *this;
    }
    http_request &with_read_timeout(std::chrono::milliseconds timeout)
    {
        return mtlspop_http_request_set_read_timeout_ms(get(), timeout.count()), *this;
    }
    http_request &with_max_response_bytes(std::size_t bytes)
    {
        return mtlspop_http_request_set_max_response_bytes(get(), bytes), *this;
    }

    /** Whether the server may ask for the certificate of a bound token in a TLS renegotiation. */
    http_request &with_allow_renegotiation(bool allow)
    {
        return mtlspop_http_request_set_allow_renegotiation(get(), allow), *this;
    }

    /** Answers a 401 once with another token; NULL: a 401 is a response. */
    http_request &with_token_request(const token_request &request)
    {
        return mtlspop_http_request_set_token_request(get(), request.get()), *this;
    }
    http_request &with_token_request(std::nullptr_t)
    {
        return mtlspop_http_request_set_token_request(get(), nullptr), *this;
    }
    http_request &with_cancel(const cancel &flag)
    {
        return mtlspop_http_request_set_cancel(get(), flag.get()), *this;
    }
};

/* ==== Results ================================================================================ */

/** A token with the certificate it is bound to; immutable. */
class token : public detail::owner<mtlspop_token, mtlspop_token_free> {
public:
    using owner::owner;

    /** A secret: do not log it. */
    std::string_view access_token() const noexcept { return detail::view(mtlspop_token_access_token(get())); }
    std::string_view token_type() const noexcept { return detail::view(mtlspop_token_type(get())); }
    /** A secret: do not log it. */
    std::string_view authorization() const noexcept { return detail::view(mtlspop_token_authorization(get())); }
    time_point expires_on() const { return detail::at(mtlspop_token_expires_on(get())); }
    std::optional<time_point> refresh_on() const
    {
        const std::int64_t seconds = mtlspop_token_refresh_on(get());
        return seconds == 0 ? std::nullopt : std::optional<time_point>(detail::at(seconds));
    }
    std::string_view scopes() const noexcept { return detail::view(mtlspop_token_scopes(get())); }
    std::optional<std::string_view> tenant_id() const noexcept
    {
        return detail::maybe(mtlspop_token_tenant_id(get()));
    }
    token_source source() const noexcept { return static_cast<token_source>(mtlspop_token_source(get())); }
    std::string_view endpoint() const noexcept { return detail::view(mtlspop_token_endpoint(get())); }
    /** "TLSv1.3" or "TLSv1.2"; none for plain http, and where a store had the token. */
    std::optional<std::string_view> tls_version() const noexcept
    {
        return detail::maybe(mtlspop_token_tls_version(get()));
    }
    /** Whether the endpoint asked for a client certificate; none where that is not known. */
    std::optional<bool> certificate_requested() const noexcept
    {
        const std::int32_t requested = mtlspop_token_certificate_requested(get());
        return requested < 0 ? std::nullopt : std::optional<bool>(requested == 1);
    }
    std::optional<std::string_view> region() const noexcept { return detail::maybe(mtlspop_token_region(get())); }
    mtlspop::region_outcome region_outcome() const noexcept
    {
        return static_cast<mtlspop::region_outcome>(mtlspop_token_region_outcome(get()));
    }
    std::optional<std::string_view> region_error() const noexcept
    {
        return detail::maybe(mtlspop_token_region_error(get()));
    }
    std::string_view correlation_id() const noexcept { return detail::view(mtlspop_token_correlation_id(get())); }
    mtlspop::cache_level cache_level() const noexcept
    {
        return static_cast<mtlspop::cache_level>(mtlspop_token_cache_level(get()));
    }
    mtlspop::cache_refresh_reason cache_refresh_reason() const noexcept
    {
        return static_cast<mtlspop::cache_refresh_reason>(mtlspop_token_cache_refresh_reason(get()));
    }
    std::chrono::milliseconds duration_total() const
    {
        return std::chrono::milliseconds(mtlspop_token_duration_total_ms(get()));
    }
    std::chrono::milliseconds duration_in_http() const
    {
        return std::chrono::milliseconds(mtlspop_token_duration_in_http_ms(get()));
    }
    std::chrono::milliseconds duration_in_cache() const
    {
        return std::chrono::milliseconds(mtlspop_token_duration_in_cache_ms(get()));
    }
    std::optional<std::string_view> response_parameter(const text &name) const noexcept
    {
        return detail::maybe(mtlspop_token_response_parameter(get(), name.c_str()));
    }

    /** The certificate it is bound to, with its private key; none for a Bearer token. */
    std::optional<certificate> binding_certificate() const
    {
        mtlspop_certificate *bound_to = mtlspop_token_binding_certificate(get());
        return bound_to ? std::optional<certificate>(certificate(bound_to)) : std::nullopt;
    }
    /** How well the key it is bound to is kept, as this process knows it; none for a Bearer token. */
    mtlspop::binding_strength binding_strength() const noexcept
    {
        return static_cast<mtlspop::binding_strength>(mtlspop_token_binding_strength(get()));
    }
};

namespace detail {

template <class F> void refreshed(void *userdata, mtlspop_token *made, mtlspop_error *failure)
{
    token owned(made);
    listened([&] {
        if (failure) {
            callable<F>(userdata)(result<token>(error(mtlspop_error_status(failure), failure)));
        } else {
            callable<F>(userdata)(result<token>(std::move(owned)));
        }
    });
}

} // namespace detail

/** What an API answered; immutable. */
class http_response : public detail::owner<mtlspop_http_response, mtlspop_http_response_free> {
public:
    using owner::owner;

    int status() const noexcept { return mtlspop_http_response_status(get()); }
    std::optional<std::string_view> header(const text &name) const noexcept
    {
        return detail::maybe(mtlspop_http_response_header(get(), name.c_str()));
    }
    std::size_t header_count() const noexcept { return mtlspop_http_response_header_count(get()); }
    std::string_view header_name(std::size_t index) const noexcept
    {
        return detail::view(mtlspop_http_response_header_name(get(), index));
    }
    std::string_view header_value(std::size_t index) const noexcept
    {
        return detail::view(mtlspop_http_response_header_value(get(), index));
    }
    bytes_view body() const noexcept
    {
        return detail::bytes<mtlspop_http_response>(mtlspop_http_response_body, get());
    }
    std::string_view tls_version() const noexcept { return detail::view(mtlspop_http_response_tls_version(get())); }
    /** Whether the server asked for a client certificate. If not, a bound token came without its own. */
    bool certificate_requested() const noexcept { return mtlspop_http_response_certificate_requested(get()) == 1; }
    bool renegotiation_declined() const noexcept { return mtlspop_http_response_renegotiation_declined(get()) == 1; }
    std::optional<std::string_view> claims() const noexcept
    {
        return detail::maybe(mtlspop_http_response_claims(get()));
    }
};

/** What an API answered, its body still to be read; for one thread at a time. */
class http_stream : public detail::owner<mtlspop_http_stream, mtlspop_http_stream_free> {
public:
    using owner::owner;

    /** Status, headers and all else but the body. */
    http_response response() const { return http_response(detail::made(mtlspop_http_stream_response(get()))); }

    /** The number of bytes that were read, at least one; 0 at the end. */
    result<std::size_t> try_read(bytes_span place)
    {
        std::size_t length = 0;
        mtlspop_error *failure = nullptr;
        const mtlspop_status value = mtlspop_http_stream_read(get(), place.data(), place.size(), &length, &failure);
        if (value != MTLSPOP_OK) return error(value, failure, nullptr);
        return length;
    }
    std::size_t read(bytes_span place) { return try_read(place).value(); }

    /** Gives all that is left to sink(bytes_view) as it comes, and returns its length. What sink throws ends it. */
    template <class Sink> result<std::uint64_t> try_read_to_end(Sink &&sink)
    {
        std::vector<std::uint8_t> place(64 * 1024);
        for (std::uint64_t total = 0;;) {
            const auto length = try_read(place);
            if (!length) return length.error();
            if (*length == 0) return total;
            sink(bytes_view(place.data(), *length));
            total += *length;
        }
    }
    template <class Sink> std::uint64_t read_to_end(Sink &&sink)
    {
        return try_read_to_end(std::forward<Sink>(sink)).value();
    }
};

/** What this host's managed identity can do; immutable. */
class capabilities : public detail::owner<mtlspop_capabilities, mtlspop_capabilities_free> {
public:
    using owner::owner;

    managed_identity_source source() const noexcept
    {
        return static_cast<managed_identity_source>(mtlspop_capabilities_source(get()));
    }
    binding_strength max_supported_binding_strength() const noexcept
    {
        return static_cast<binding_strength>(mtlspop_capabilities_max_supported_binding_strength(get()));
    }
    bool is_mtls_pop_supported_by_host() const noexcept
    {
        return mtlspop_capabilities_is_mtls_pop_supported_by_host(get()) == 1;
    }
    std::string_view detection_reason() const noexcept
    {
        return detail::view(mtlspop_capabilities_detection_reason(get()));
    }
    std::optional<std::string_view> error_reason() const noexcept
    {
        return detail::maybe(mtlspop_capabilities_error_reason(get()));
    }
};

/* ==== App ==================================================================================== */

/** One identity with its settings, caches and connections. Make it once; any number of threads may use it. */
class app : public detail::owner<mtlspop_app, mtlspop_app_free> {
public:
    using owner::owner;

    static result<app> try_new(const app_options &options)
    {
        return detail::call<app>([&](auto out, auto failure) { return mtlspop_app_new(options.get(), out, failure); });
    }
    explicit app(const app_options &options) : app(try_new(options).value()) {}

    result<token> try_acquire_token(const token_request &request) const
    {
        return detail::call<token>([&](auto out, auto failure) {
            return mtlspop_app_acquire_token(get(), request.get(), out, failure);
        });
    }
    token acquire_token(const token_request &request) const { return try_acquire_token(request).value(); }

    /** What acquire_token() would give at once; none where it would have to wait. Never blocks. */
    result<std::optional<token>> try_cached_token(const token_request &request) const
    {
        auto found = detail::call<token>([&](auto out, auto failure) {
            return mtlspop_app_cached_token(get(), request.get(), out, failure);
        });
        if (!found) return found.error();
        if (!found->get()) return std::optional<token>();
        return std::optional<token>(std::move(*found));
    }
    std::optional<token> cached_token(const token_request &request) const { return try_cached_token(request).value(); }

    result<http_response> try_send(const token &with, const http_request &request) const
    {
        return detail::call<http_response>([&](auto out, auto failure) {
            return mtlspop_app_send(get(), with.get(), request.get(), out, failure);
        });
    }
    http_response send(const token &with, const http_request &request) const { return try_send(with, request).value(); }

    /** The response when its headers are there; the body is read from it. */
    result<http_stream> try_send_streaming(const token &with, const http_request &request) const
    {
        return detail::call<http_stream>([&](auto out, auto failure) {
            return mtlspop_app_send_streaming(get(), with.get(), request.get(), out, failure);
        });
    }
    http_stream send_streaming(const token &with, const http_request &request) const
    {
        return try_send_streaming(with, request).value();
    }

    /** Without a timeout no limit but those of its steps; the flag may be nullptr. */
    result<capabilities> try_managed_identity_capabilities(std::chrono::milliseconds timeout = {},
                                                           const cancel *flag = nullptr) const
    {
        return detail::call<capabilities>([&](auto out, auto failure) {
            return mtlspop_app_managed_identity_capabilities(get(), timeout.count(), flag ? flag->get() : nullptr, out,
                                                             failure);
        });
    }
    capabilities managed_identity_capabilities(std::chrono::milliseconds timeout = {},
                                               const cancel *flag = nullptr) const
    {
        return try_managed_identity_capabilities(timeout, flag).value();
    }

    mtlspop::token_cache token_cache() const { return mtlspop::token_cache(mtlspop_app_token_cache(get())); }
};

} // namespace mtlspop

#endif /* C++17 */

#endif /* MTLSPOP_HPP */
