//! Nothing: what is here is in `models/`, and a package has to have something to be built.
