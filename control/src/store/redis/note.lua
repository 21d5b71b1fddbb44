-- Nothing but a line in the audit log, and its place in the change log.
append('noted', '')
note()
return { 'ok', version }
