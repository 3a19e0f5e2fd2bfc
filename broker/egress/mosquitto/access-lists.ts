/** One rule of a role in the dynamic-security plugin. What no rule allows is denied. */
export interface AccessRule {
  readonly acltype: 'publishClientSend' | 'publishClientReceive' | 'subscribePattern' | 'unsubscribePattern';
  readonly topic: string;
  readonly allow: true;
}

const SLASHES = ['', '/'] as const;
const FORMATS = ['', 'json/', 'ul/'] as const;
const TO_BROKER = ['attrs', 'attrs/+', 'cmdexe', 'configuration/commands'] as const;

/**
 * What a device may do on a broker outside: publish to its own topics, and listen to what is sent to it. Nothing else, also not of devices that share
 * its key.
 * @param apikey   the key in its topics; undefined: it has none
 * @param token    the token, which is a level of the topics of kits; undefined for a whole group
 * @param deviceId "+" for a whole group
 */
export function accessRules(apikey: string | undefined, token: string | undefined, deviceId: string): readonly AccessRule[] {
  const rules: AccessRule[] = [];
  if (apikey !== undefined) {
    for (const slash of SLASHES) {
      const own = `${slash}${apikey}/${deviceId}`;
      for (const format of FORMATS) {
        for (const topic of TO_BROKER) rules.push(rule('publishClientSend', `${slash}${format}${apikey}/${deviceId}/${topic}`));
      }
      rules.push(...listening(`${own}/#`));
    }
  }
  if (token !== undefined) {
    for (const part of ['readings', 'readings/raw', 'info', 'hello']) {
      rules.push(rule('publishClientSend', `device/sck/${token}/${part}`));
    }
    rules.push(...listening(`device/sck/${token}/#`));
  }
  return rules;
}

/** What the broker itself may do there: take everything in, by shared subscription, and send to devices. */
export function serviceRules(): readonly AccessRule[] {
  return [
    rule('publishClientSend', '#'),
    rule('publishClientReceive', '#'),
    rule('subscribePattern', '#'),
    rule('subscribePattern', '$share/#'),
    rule('unsubscribePattern', '#'),
  ];
}

const rule = (acltype: AccessRule['acltype'], topic: string): AccessRule => ({ acltype, topic, allow: true });
const listening = (topic: string): readonly AccessRule[] => [
  rule('publishClientReceive', topic),
  rule('subscribePattern', topic),
];
