// unit_one.cpp: one of two translation units, without RTTI; throws what the other one catches, by way of the library.

#include <mtlspop.hpp>

#include <stdexcept>

void throw_through_the_library(const mtlspop::app_options &options)
{
    const mtlspop::app made(options);
}

mtlspop::app_options options_with_a_secret_that_throws(const char *directory)
{
    auto options = mtlspop::app_options::managed_identity();
    options.with_binding_store_with_callback(directory, []() -> std::string { throw std::out_of_range("no secret"); });
    return options;
}
