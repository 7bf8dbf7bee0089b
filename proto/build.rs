//! Compiles the gRPC contract with protox, so that no system protoc is needed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=floe");
    let files = protox::compile(
        [
            "floe/v1/admission.proto",
            "floe/v1/enrolment.proto",
            "floe/v1/secrets.proto",
            "floe/v1/session.proto",
            "floe/v1/operator.proto",
            "floe/v1/preview.proto",
            "floe/v1/trust.proto",
            "floe/v1/operators.proto",
            "floe/v1/authority.proto",
        ],
        ["."],
    )?;
    tonic_prost_build::configure().compile_fds(files)?;
    Ok(())
}
