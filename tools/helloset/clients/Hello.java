import java.util.Arrays;
import java.util.List;
import javax.net.ssl.SNIHostName;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.SSLSocketFactory;

/** Starts a TLS handshake with 127.0.0.1:PORT: Hello.java PORT NAME [ALPN...] */
public class Hello {
    public static void main(String[] args) throws Exception {
        SSLSocketFactory factory = (SSLSocketFactory) SSLSocketFactory.getDefault();
        try (SSLSocket s = (SSLSocket) factory.createSocket("127.0.0.1", Integer.parseInt(args[0]))) {
            SSLParameters p = s.getSSLParameters();
            p.setServerNames(List.of(new SNIHostName(args[1])));
            if (args.length > 2) {
                p.setApplicationProtocols(Arrays.copyOfRange(args, 2, args.length));
            }
            s.setSSLParameters(p);
            s.startHandshake();
        } catch (java.io.IOException e) {
            // the recorder closes
        }
    }
}
