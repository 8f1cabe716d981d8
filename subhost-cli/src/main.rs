//! subhostctl: runs systems from disk images or trees as namespaces on the host's kernel.

#[cfg(all(target_feature = "crt-static", target_env = "gnu"))]
mod sys;

fn main() -> std::process::ExitCode {
    subhost_cli::commands::main()
}
