# One image for every role of the stack: `command:` in stack.yml says which. Works with the classic
# builder and with BuildKit, on x86_64 and on aarch64.

FROM rust:1.95-slim-bookworm AS build
WORKDIR /build

# A static glibc: the result runs on an empty root. Since glibc 2.34 its resolver needs no library at run
# time for what a container has, /etc/hosts and DNS. The image is for running: symbols stay behind.
ENV RUSTFLAGS="-C target-feature=+crt-static" \
    CARGO_PROFILE_RELEASE_DEBUG=none \
    CARGO_PROFILE_RELEASE_STRIP=symbols

# The dependencies in a layer of their own, rebuilt only when a manifest or the lock file changes: they
# are built with empty sources in place of ours. Naming the target, even though it is the host, keeps
# RUSTFLAGS away from build scripts and procedural macros, which cannot be static.
COPY Cargo.toml Cargo.lock ./
COPY app/Cargo.toml app/
COPY edge/Cargo.toml edge/
COPY local/Cargo.toml local/
COPY process/Cargo.toml process/
COPY tests/Cargo.toml tests/
COPY watch/Cargo.toml watch/
RUN for member in app edge local process tests watch; do \
        mkdir -p "$member/src" && touch "$member/src/lib.rs" || exit 1; \
    done \
    && for program in app edge local; do \
        echo 'fn main() {}' > "$program/src/main.rs" || exit 1; \
    done \
    && mkdir tests/e2e tests/src/chaos && touch tests/e2e/main.rs tests/src/chaos/main.rs \
    && cargo build --release --locked --package app --package edge \
        --target "$(rustc --version --verbose | sed -n 's/^host: //p')"

# Then ours. COPY keeps the files' times, which are older than the empty sources' build: without the
# touch cargo would take that build for current.
COPY app/ app/
COPY edge/ edge/
COPY process/ process/
RUN find app edge process -name '*.rs' -exec touch {} + \
    && target="$(rustc --version --verbose | sed -n 's/^host: //p')" \
    && cargo build --release --locked --package app --package edge --target "$target" \
    && mkdir /out && cp "target/$target/release/app" "target/$target/release/edge" /out/

FROM scratch
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="stackdemo" \
      org.opencontainers.image.description="A hit counter and the reverse proxy in front of it" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
# For a Redis that is reached over TLS with a public certificate.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/ /
# A number, so that an engine can see without a passwd file that it is not root.
USER 10001:10001
EXPOSE 8000
# For the default role; stack.yml has each service's own.
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s --retries=3 CMD ["/app", "healthcheck"]
CMD ["/app"]
