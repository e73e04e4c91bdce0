// unit_two.cpp: the other one. Is the binding one thing in a program of several units, whatever standard they have?

#include <mtlspop.hpp>

#include <stdexcept>

void throw_through_the_library(const mtlspop::app_options &options);
mtlspop::app_options options_with_a_secret_that_throws(const char *directory);

int main(int, char **arguments)
{
    try {
        throw_through_the_library(options_with_a_secret_that_throws(arguments[1]));
        return 1;
    } catch (const std::out_of_range &thrown) {
        if (std::string(thrown.what()) != "no secret") return 2;
    }
    try {
        throw_through_the_library(mtlspop::app_options::confidential_client("no authority"));
        return 3;
    } catch (const mtlspop::error &thrown) {
        return thrown.status() == mtlspop::status::invalid_argument ? 0 : 4;
    }
}
