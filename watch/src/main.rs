//! `watch`: see [`watch::program`].

fn main() -> std::process::ExitCode {
    watch::program::main()
}
