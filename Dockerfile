# echo-server and echo-client in an image without Swift: docker build -t echo-server . && docker run -p 8080:8080 echo-server
#
# Pass settings as variables, `docker run -e ECHO_SERVER_MODEL=thread`, or as options after the image's name; see echo-server --help.

ARG SWIFT=6.3.1-bookworm
# The Debian release of the build image: the programs need its libc.
ARG DEBIAN=12.11-slim

FROM swift:${SWIFT} AS build
RUN apt-get update && apt-get install -y --no-install-recommends binutils libev-dev libssl-dev libstdc++-12-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
RUN Scripts/build-dist.sh && mkdir /programs && \
    for program in echo-server echo-fork-server echo-client; do strip --strip-all -o "/programs/$program" ".build/dist/$program"; done

# Of Debian, only what the programs load, a shell for the health check, and the records by which scanners know the packages: a third of the size.
FROM debian:${DEBIAN} AS system
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates libev4 libssl3
RUN mkdir -p /image/usr/bin /image/usr/lib /image/usr/lib64 /image/var/lib/dpkg/status.d /image/etc/ssl/certs /image/tmp && chmod 1777 /image/tmp && \
    for directory in bin lib lib64; do ln -s "usr/$directory" "/image/$directory"; done && \
    for package in libc6 libev4 libssl3 dash; do \
        dpkg -s "$package" >"/image/var/lib/dpkg/status.d/$package" && \
        dpkg -L "$package" | grep -E '^/(usr/)?(lib(64)?/.*\.so(\.|$)|bin/(da)?sh$)' | grep -v gconv; \
    done | tar -C / -c --no-recursion -T - | tar -C /image -x --keep-directory-symlink && \
    cp -a /etc/nsswitch.conf /image/etc/ && cp -aL /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ && cp -a /usr/lib/ssl /image/usr/lib/

FROM scratch
COPY --from=system /image/ /
COPY --from=build /programs/ /usr/bin/

# A user who owns no file; as a number, so that Kubernetes can verify that it is not root.
USER 65532:65532
# Listen outside the container, and finish draining before `docker stop` kills after ten seconds.
ENV ECHO_SERVER_HOST=0.0.0.0 ECHO_SERVER_PORT=8080 ECHO_SERVER_DRAIN_TIMEOUT=8
EXPOSE 8080
# The check uses the port in the variable.  If you pass --port, --host or --unix-socket as an option, pass another health check too.
HEALTHCHECK --interval=10s --timeout=3s --start-period=2s CMD exec echo-client ping --timeout 2 127.0.0.1 "$ECHO_SERVER_PORT"
# The server is process 1: it handles TERM and reaps the processes that it forks.
ENTRYPOINT ["echo-server"]
