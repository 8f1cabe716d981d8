//! subhostctl: runs systems from disk images or trees as namespaces on the host's kernel.

fn main() -> std::process::ExitCode {
    subhost_cli::commands::main()
}
