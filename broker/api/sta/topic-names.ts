/** Topics of SensorThings (18-088, 14): a tenant, or none; `staplus/`, or not; the version; the path. */
export const STA_TOPIC = /^(?:(?!staplus\/)([A-Za-z0-9_-]{1,64})\/)?(staplus\/)?v1\.1\/(.+)$/s;
