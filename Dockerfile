# The image of operator, gateway and collectors: one binary and the libraries that it needs, run by nobody in particular.
#
#   docker build -t registry.example.com/tracecapture:0.1.0 .
#   docker buildx build --platform linux/amd64,linux/arm64 -t registry.example.com/tracecapture:0.1.0 --push .
#
# The tag of the build image decides which compiler it is: keep it at the version of `rust-toolchain.toml`.
# Both architectures build natively, or under emulation; nothing is cross-compiled, because zstd, mimalloc and ring
# bring C of their own. Base images change under their tags: `docker buildx imagetools inspect IMAGE` prints the digest,
# and `--build-arg BUILD_IMAGE=…@sha256:…` pins it. A release's provenance tells which ones it was built with.
ARG BUILD_IMAGE=rust:1.95-bookworm
# `cc`: the C library and libgcc, nothing else; `nonroot`: the user 65532.
ARG BASE_IMAGE=gcr.io/distroless/cc-debian12:nonroot

FROM ${BUILD_IMAGE} AS build
ARG TARGETARCH
WORKDIR /source
COPY . .
# The registry and the objects stay in caches of the builder, so that a changed line does not build everything anew.
# Each architecture has objects of its own: built at the same time, one would copy the other's binary out of them.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,id=tracecapture-target-${TARGETARCH},target=/source/target,sharing=locked \
    cargo build --locked --release && cp target/release/tracecapture /tracecapture

FROM ${BASE_IMAGE}
COPY --from=build /tracecapture /usr/local/bin/tracecapture
LABEL org.opencontainers.image.title="tracecapture" \
      org.opencontainers.image.licenses="Apache-2.0"
# By number, so that Kubernetes can tell that it is not root.
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/tracecapture"]
