# One image for all roles of the stack. It contains one program, which takes its role from the name that it is called
# by; `command:` in stack.yml selects the name. Builds with the classic builder and with BuildKit, on x86_64 and on
# aarch64.

FROM rust:1.95-slim-bookworm AS build
WORKDIR /build

# Links glibc statically, so that the program runs on an empty root. Since glibc 2.34 its resolver needs no libraries at
# run time for /etc/hosts and DNS, which are all that a container has. Symbols would only make the image larger.
ENV RUSTFLAGS="-C target-feature=+crt-static" \
    CARGO_PROFILE_DIST_DEBUG=none \
    CARGO_PROFILE_DIST_STRIP=symbols

# For the allocator, which is written in C.
RUN command -v make || (apt-get update && apt-get install --yes --no-install-recommends make && rm -r /var/lib/apt/lists)

# A layer with the dependencies only, which is rebuilt only when a manifest or the lock file changes. It builds them
# with empty sources in place of ours. Naming the target, even though it is the host, keeps RUSTFLAGS away from build
# scripts and procedural macros, which cannot be static.
COPY Cargo.toml Cargo.lock ./
COPY app/Cargo.toml app/
COPY edge/Cargo.toml edge/
COPY local/Cargo.toml local/
COPY net/Cargo.toml net/
COPY process/Cargo.toml process/
COPY redis-config/Cargo.toml redis-config/
COPY settings/Cargo.toml settings/
COPY stackdemo/Cargo.toml stackdemo/
COPY tests/Cargo.toml tests/
COPY watch/Cargo.toml watch/
RUN for manifest in */Cargo.toml; do \
        member="$(dirname "$manifest")"; \
        for source in src/lib.rs $(sed -n 's/^path = "\(.*\.rs\)"$/\1/p' "$manifest"); do \
            mkdir -p "$(dirname "$member/$source")" && touch "$member/$source" || exit 1; \
        done; \
    done \
    && echo 'fn main() {}' > stackdemo/src/main.rs \
    && cargo build --profile dist --locked --package stackdemo \
        --target "$(rustc --version --verbose | sed -n 's/^host: //p')" \
    && rm -r stackdemo/src

# Then our sources. COPY keeps the files' times, which are older than the build of the empty sources. Without the touch,
# cargo would consider that build current.
COPY app/ app/
COPY edge/ edge/
COPY net/ net/
COPY process/ process/
COPY redis-config/ redis-config/
COPY settings/ settings/
COPY stackdemo/ stackdemo/
COPY watch/ watch/
RUN find app edge net process redis-config settings stackdemo watch -name '*.rs' -exec touch {} + \
    && target="$(rustc --version --verbose | sed -n 's/^host: //p')" \
    && cargo build --profile dist --locked --package stackdemo --target "$target" \
    && mkdir /out && cp "target/$target/dist/stackdemo" /out/ \
    && for role in app edge watch; do ln -s stackdemo "/out/$role" || exit 1; done

FROM scratch
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="stackdemo" \
      org.opencontainers.image.description="A hit counter and the reverse proxy in front of it" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
# For Redis over TLS with a publicly trusted certificate.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/ /
# Numeric, so that an engine can verify without a passwd file that the user is not root.
USER 10001:10001
EXPOSE 8000
# For the default role. stack.yml has a health check for each service.
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s --retries=3 CMD ["/app", "healthcheck"]
CMD ["/app"]
