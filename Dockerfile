# musenc-bidsapp: docker build --tag musenc-bidsapp .
#
#   --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu128   CUDA instead of CPU, together
#   --build-arg TORCH_SHA256=...     with the checksum of that wheel of torch, or "unchecked"
#   --build-arg RESOURCES=FOLDER     weights, gradient and meshes from a folder of the build context
#                                    (laid out by `musenc prefetch`) instead of a download
#   --build-arg WEIGHTS=none         there are no pretrained VGGish weights in that folder
#   --build-arg TAG=0.1.0            what outputs call this image
#   --build-arg BASE=NAME@sha256:... the base image by its digest: docs/containers.md
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS dependencies
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ARG TORCH_SHA256=
COPY containers/install.sh containers/*.lock /opt/source/containers/
RUN /opt/source/containers/install.sh dependencies && rm -rf /opt/source

FROM dependencies AS resources
ARG RESOURCES=
ARG WEIGHTS=pretrained
COPY containers/install.sh /opt/source/containers/
COPY bids_app/*.py /opt/source/bids_app/
COPY bids_app/cli /opt/source/bids_app/cli/
COPY ${RESOURCES:-containers/install.sh} /opt/source/resources/
RUN RESOURCES="${RESOURCES:+/opt/source/resources}" WEIGHTS="${WEIGHTS}" \
    /opt/source/containers/install.sh resources

FROM dependencies AS application
COPY . /opt/source/
RUN DESTDIR=/opt/stage /opt/source/containers/install.sh application system

# The dependencies lie where they were installed: copying them would store them twice.
FROM dependencies
ARG WEIGHTS=pretrained
ARG REVISION=
ARG TAG=
ARG BASE
LABEL org.opencontainers.image.title="musenc-bidsapp" \
      org.opencontainers.image.description="BIDS-App: music-listening fMRI to surface encoding maps" \
      org.opencontainers.image.url="https://github.com/musenc/musenc-bidsapp" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.version="${TAG}" \
      org.opencontainers.image.base.name="${BASE}" \
      org.opencontainers.image.licenses="Apache-2.0 AND CC-BY-NC-SA-4.0 AND LicenseRef-NOTICE" \
      org.musenc.notice="/opt/musenc/share/NOTICE" \
      org.musenc.vggish-weights="${WEIGHTS}"
COPY --from=resources /opt/musenc/resources /opt/musenc/resources
COPY --from=application /opt/stage/ /

# The entry point gives every user caches of their own: no path in a /tmp that others share is set.
ENV PATH=/opt/musenc/venv/bin:/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin \
    LANG=C.UTF-8 \
    PYTHONNOUSERSITE=1 \
    PYTHONUNBUFFERED=1 \
    NO_ET=1 \
    MUSENC_IMAGE_TAG=${TAG} \
    MUSENC_RESOURCES=/opt/musenc/resources \
    NEUROMAPS_DATA=/opt/musenc/resources/neuromaps \
    TEMPLATEFLOW_HOME=/opt/musenc/resources/templateflow \
    HOME=/opt/musenc/home
# Any other user will do, too.
USER 10001:10001
WORKDIR /tmp
ENTRYPOINT ["/opt/musenc/entrypoint.sh"]
