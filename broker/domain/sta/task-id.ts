/** True if a command was given by a Task (17-079r1): it carries the Task's IRI as its origin. */
export const isOfTask = ({ origin }: { readonly origin?: string }): boolean => origin?.startsWith('urn:ngsi-ld:Task:') === true;
