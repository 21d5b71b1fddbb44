//! nginx with one worker process, doing what Portico does for a request and no more.

use std::path::Path;
use std::process::Command;

use super::kind::Kind;
use super::site::{OPPONENT_HOST, Site, Subject, version};
use crate::port::free_address;

pub fn start(program: &Path, site: &Site) -> anyhow::Result<Subject> {
    let (http, https) = (free_address(), free_address());
    let configuration = configuration(site, &http.to_string(), &https.to_string());
    let path = site.write("nginx.conf", &configuration)?;
    let mut command = Command::new(program);
    command.arg("-p").arg(&site.directory).arg("-c").arg(path).args(["-e", "stderr"]);
    site.opponent(Kind::Nginx, command, (http, https), version(program, "-v"))
}

/// The upgraded location is its own, because an empty Connection field is what keeps plain
/// upstream connections open. Answers are buffered, as they are by default, but never on disk;
/// uploads are not, as where they are large.
fn configuration(site: &Site, http: &str, https: &str) -> String {
    format!(
        "user root;
daemon off;
worker_processes 1;
pid nginx.pid;
error_log stderr warn;
events {{
    worker_connections 16384;
}}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    keepalive_timeout 60s;
    keepalive_requests 1000000000;
    tcp_nodelay on;
    client_max_body_size 0;
    ssl_certificate {cert};
    ssl_certificate_key {key};
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_tickets on;
    upstream session {{
        server {upstream};
        keepalive 8192;
        keepalive_timeout 60s;
        keepalive_requests 1000000000;
    }}
    server {{
        listen {http} default_server backlog=4096;
        listen {https} ssl default_server backlog=4096;
        return 404;
    }}
    server {{
        listen {http};
        listen {https} ssl;
        server_name {OPPONENT_HOST};
        proxy_http_version 1.1;
        proxy_max_temp_file_size 0;
        proxy_request_buffering off;
        location / {{
            proxy_pass http://session;
            proxy_set_header Host $host;
            proxy_set_header Connection \"\";
            {forwarded}
        }}
        location /echo {{
            proxy_pass http://session;
            proxy_read_timeout 1h;
            proxy_send_timeout 1h;
            proxy_set_header Host $host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection \"upgrade\";
            {forwarded}
        }}
    }}
}}
",
        upstream = site.upstream,
        cert = site.certificate.cert.display(),
        key = site.certificate.key.display(),
        forwarded = "proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-Host $host;"
    )
}
